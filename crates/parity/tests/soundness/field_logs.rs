//! The two logs from the field.

use super::codes;
use parity::check::soundness::{Severity, SoundnessReport, check_trace, render_text};
use parity::trace::Trace;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn report(name: &str) -> Option<SoundnessReport> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/field-logs")
        .join(name);
    if !path.exists() {
        eprintln!("SKIPPED: `{}` is not here", path.display());
        return None;
    }
    let begun = Instant::now();
    let trace = Trace::open(path).expect("a readable file");
    let mut report = check_trace(&trace, &mut |_| {}).expect("a readable trace");
    assert!(begun.elapsed() < Duration::from_secs(1));
    // Where this repository lies is nobody's business, and may be longer than a line.
    report.trace = name.to_owned();
    Some(report)
}

#[test]
fn the_reference_was_logged_from_freed_memory() {
    let Some(report) = report("picasso-llama.jsonl") else {
        return;
    };
    assert!(report.damaged);
    assert_eq!(codes(&report.findings, Severity::Error), ["S001"]);
    let freed = &report.findings[0];
    // All 14 records have a zero at element 1 or 3 where logits never are zero.
    assert_eq!(freed.records.count, 14);
    assert_eq!(freed.records.first_lines, [1, 2, 3, 4, 5]);
    // Counted by hand: -465xx at element 0 in 11 records, -1.0e18 at element 2 in 2; four words of zeros; six records
    // end in two zeros.
    assert!(freed.evidence.contains("in 13 words"), "{}", freed.evidence);
    assert!(freed.evidence.contains("4 are zero"), "{}", freed.evidence);
    assert!(
        freed.evidence.contains("6 records end"),
        "{}",
        freed.evidence
    );
    let cause = freed.cause.as_deref().expect("a cause");
    assert!(
        cause.contains("the logger's own buffers were freed before they were written"),
        "{cause}"
    );
    assert!(cause.contains("not a fault of the engine"), "{cause}");
    assert!(
        render_text(&report)
            .lines()
            .all(|line| line.chars().count() <= 80)
    );
}

#[test]
fn the_candidate_is_sound_but_for_its_text() {
    let Some(report) = report("picasso-worker.jsonl") else {
        return;
    };
    assert!(!report.damaged);
    assert_eq!(report.records, 108);
    assert_eq!(codes(&report.findings, Severity::Info), ["S036"]);
    assert!(
        report.findings[0].evidence.contains("6 decimals"),
        "{}",
        report.findings[0].evidence
    );
}
