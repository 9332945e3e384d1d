//! Traces on disk: what our own logger and engines write is sound, and what happens to files is said.

use super::codes;
use super::generator::Dice;
use half::{bf16, f16};
use orch_log::format::Event;
use orch_log::{Detail, Element, Logged, Recorder, Settings};
use parity::check::soundness::{Severity, SoundnessReport, check_trace};
use parity::trace::Trace;
use std::path::{Path, PathBuf};

fn report(path: &Path) -> SoundnessReport {
    let mut read_bytes = 0;
    let trace = Trace::open(path).expect("a readable file");
    let report = check_trace(&trace, &mut |bytes| read_bytes = bytes).expect("a readable trace");
    assert_eq!(read_bytes, trace.len_bytes(), "progress ends at the end");
    report
}

fn log<T: Element>(recorder: &Recorder, event: &Event<'_>, values: &[T]) {
    assert_eq!(recorder.log(event, values), Logged::Written);
}

/// A small decoder's pass, as an engine would log it, with payloads.
fn log_a_run(path: PathBuf) -> PathBuf {
    let mut settings = Settings::new(&path, "an engine");
    settings.detail = Detail::Full;
    let recorder = Recorder::create(settings).expect("a writable folder");
    let mut dice = Dice::new(11);
    let mut row = |n: usize| -> Vec<f32> { (0..n).map(|_| dice.normal() as f32).collect() };
    for (step, (position, n)) in [(0, 5), (5, 1), (6, 1), (7, 1), (8, 1)]
        .into_iter()
        .enumerate()
    {
        let event = |name| Event::new(name, position).n_tokens(n).step(step as u64);
        let ids: Vec<i32> = (0..n)
            .map(|i| 17 * (position as i32 + i as i32) + 3)
            .collect();
        log(&recorder, &event("tokens"), &ids);
        log(&recorder, &event("embedding").shape(&[n, 32]), &row(32 * n));
        let q = row(32 * n);
        log(&recorder, &event("layer_0_q").shape(&[n, 4, 8]), &q);
        // Position 0 is rotated by nothing.
        log(
            &recorder,
            &event("layer_0_q_rope").shape(&[n, 4, 8]),
            &if step == 0 { q } else { row(32) },
        );
        let kv = position as usize + n;
        let half: Vec<f16> = row(4 * n * kv)
            .iter()
            .map(|value| f16::from_f32(*value))
            .collect();
        log(
            &recorder,
            &event("layer_0_attn_scores").shape(&[n, 4, kv]),
            &half,
        );
        let gate: Vec<bf16> = row(64 * n)
            .iter()
            .map(|value| bf16::from_f32(value.max(0.0)))
            .collect();
        log(&recorder, &event("layer_0_ffn_act").shape(&[n, 64]), &gate);
        log(&recorder, &event("logits").shape(&[n, 100]), &row(100 * n));
    }
    assert!(recorder.status().is_complete());
    path
}

#[test]
fn our_own_logger_writes_sound_traces() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = report(&log_a_run(folder.path().join("run.jsonl")));
    assert_eq!((report.records, report.damaged), (35, false));
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// What the demo and the capture of other programs have left here, if they have run.
#[test]
fn our_own_engines_leave_sound_traces() {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../out");
    let folders = ["demo", "programs"].map(|name| out.join(name));
    let files = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten();
    let mut checked = 0;
    for path in files.map(|file| file.expect("a readable folder").path()) {
        // A trace may be growing at this moment.
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
            && path.with_extension("run.json").exists()
        {
            let report = report(&path);
            assert!(
                codes(&report.findings, Severity::Warning).is_empty(),
                "{}: {:#?}",
                path.display(),
                report.findings
            );
            checked += 1;
        }
    }
    if checked == 0 {
        eprintln!("SKIPPED: `{}` has no traces yet", out.display());
    }
}

#[test]
fn payloads_that_were_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = log_a_run(folder.path().join("run.jsonl"));
    let payload = std::fs::read_dir(&folder)
        .expect("a readable folder")
        .map(|file| file.expect("readable").path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "tensors")
        })
        .expect("a payload file");
    let bytes = std::fs::read(&payload).expect("readable");
    // The last record's 100 f32 lie at the end.
    std::fs::write(&payload, &bytes[..bytes.len() - 400]).expect("writable");
    let cut = report(&path);
    assert_eq!(codes(&cut.findings, Severity::Info), ["S039"]);
    assert_eq!(cut.findings[0].records.first_lines, [35]);
    std::fs::remove_file(payload).expect("it was there");
    assert_eq!(report(&path).findings[0].records.count, 35);
}

#[test]
fn lines_that_are_no_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = log_a_run(folder.path().join("run.jsonl"));
    let text = std::fs::read_to_string(&path).expect("readable");
    let change = |text: String| {
        std::fs::write(&path, text).expect("writable");
        report(&path)
    };
    let titles = |report: &SoundnessReport| {
        report
            .findings
            .iter()
            .map(|finding| finding.title.clone())
            .collect::<Vec<_>>()
    };

    let cut = change(text[..text.len() - 30].to_owned());
    assert_eq!(
        (titles(&cut), cut.records, cut.damaged),
        (vec!["the last line is cut off".to_owned()], 34, false)
    );

    let torn = change(format!("{text}panic at line 7\n{text_end}", text_end = r#"{"checkpoint":"orch_log.dropped","team":"t","token_idx":0,"dtype":"i64","shape":"[1]","values":[12]}"#.to_owned() + "\n"));
    assert_eq!(
        titles(&torn),
        ["lines that are not records", "records were lost"]
    );
    assert!(
        torn.findings[0].evidence.contains("line 36, column 1"),
        "{}",
        torn.findings[0].evidence
    );
    assert!(
        torn.findings[1].evidence.contains("lost 12 records"),
        "{}",
        torn.findings[1].evidence
    );

    let empty = change(String::new());
    assert_eq!(
        (titles(&empty), empty.damaged),
        (vec!["no records".to_owned()], true)
    );

    let python = r#"{"checkpoint":"x","team":"t","token_idx":0,"dtype":"f32","shape":"[3]","values":[1.5,NaN,2.5]}"#;
    let lenient = change(format!("{python}\n"));
    assert_eq!(codes(&lenient.findings, Severity::Info), ["S021", "S030"]);
}

/// Squares of the greatest numbers are infinite, those of the smallest zero, in statistics as in a check of them.
#[test]
fn statistics_at_the_ends_of_the_range() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl");
    let recorder = Recorder::create(Settings::new(&path, "t")).expect("a writable folder");
    log(
        &recorder,
        &Event::new("great", 0),
        &[1.7e308_f64, -3.0, 1.7e308, 5.0],
    );
    log(&recorder, &Event::new("small", 0), &[2e-300_f64, 3e-300]);
    log(&recorder, &Event::new("none", 0), &[0.0_f32; 0]);
    let report = report(&path);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}
