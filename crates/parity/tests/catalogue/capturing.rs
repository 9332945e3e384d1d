//! Traces that are not what the engine computed, or not all of it.

use super::support::{Folder, compare_lines, compare_with, finding, noise, record, tokens};
use super::{BLOCK, WIDTH, check_codes, checked, engine, names, place, plain};
use orch_log::format::Event;
use orch_log::{Logged, Recorder, Settings};
use parity::Options;
use parity::trace::Trace;
use serde_json::json;

#[test]
fn a_checksum_of_what_was_printed() {
    // Ours sums all elements, however few are printed.
    let values = noise(3, 1000);
    let folder = Folder::new();
    let path = folder.path("ours.jsonl");
    let recorder = Recorder::create(Settings::new(&path, "t")).unwrap();
    assert_eq!(
        recorder.log(&Event::new("logits", 0), &values),
        Logged::Written
    );
    let line: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 1000.0;
    assert_eq!(line["values"].as_array().unwrap().len(), 10);
    assert!((line["stats"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert_eq!(line["stats"]["n"], 1000);

    // Theirs, over the three first and last: it is neither believed nor compared.
    let elided: Vec<f32> = values[..3].iter().chain(&values[997..]).copied().collect();
    let theirs = record("logits", 0, &values[..10]).shape(&[1000]).with(
        "stats",
        record("x", 0, &elided).whole(&elided).0["stats"].clone(),
    );
    assert!(
        check_codes(std::slice::from_ref(&theirs)).contains(&"S037"),
        "{:?}",
        check_codes(&[theirs])
    );
}

#[test]
fn four_decimals_hide_what_all_digits_show() {
    // An epsilon of a norm that is ten times too large, on a row of small numbers: a relative error of 4e-3.
    let row: Vec<f32> = noise(9, 64).iter().map(|value| value * 0.03).collect();
    let normed = |epsilon: f32| -> Vec<f32> {
        let mean_square = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
        row.iter()
            .map(|x| 1e-3 * x / (mean_square + epsilon).sqrt())
            .collect()
    };
    let trace = |epsilon: f32, digits: &dyn Fn(f32) -> f32| {
        let values: Vec<f32> = normed(epsilon).into_iter().map(digits).collect();
        vec![tokens(0, &[1]), record("layer_0_attn_norm", 0, &values)]
    };
    let exact = |x: f32| x;
    let printed = |x: f32| (x * 1e4).round() / 1e4;
    let report = compare_lines(&trace(1e-6, &exact), &trace(1e-5, &exact));
    assert_eq!(report.verdict, "diverged");
    let error = report.worst[0].relative_rmse.0;
    assert!(
        (0.01..0.05).contains(&error) || (1e-3..0.05).contains(&error),
        "{error}"
    );
    // Printed, its size is that of the print itself; the check says so beforehand.
    let rounded = compare_lines(&trace(1e-6, &exact), &trace(1e-6, &printed)).worst[0]
        .relative_rmse
        .0;
    assert!(rounded > error, "{rounded} against {error}");
    let lines: Vec<_> = (0..20)
        .map(|position| {
            let values: Vec<f32> = noise(position as u64, 16)
                .iter()
                .map(|x| printed(x * 0.01))
                .collect();
            record("layer_0_attn_norm", position, &values)
        })
        .collect();
    assert!(
        check_codes(&lines).contains(&"S036"),
        "{:?}",
        check_codes(&lines)
    );
}

#[test]
fn two_tensors_of_one_buffer() {
    // Pointers into a ring of two buffers, read when the pass is over.
    let last = names().len() - 1;
    let lines = engine(4, |name, position, values| {
        let index = place(name);
        if index < last - 1 {
            noise(7000 + 10 * position as u64 + index as u64 % 2, WIDTH)
        } else {
            values
        }
    });
    let codes = check_codes(&lines);
    assert!(codes.contains(&"S006"), "{codes:?}");
    assert!(!check_codes(&plain(4)).contains(&"S006"));
}

#[test]
fn hooks_that_ran_at_capture_only() {
    // The same numbers in every step although the tokens differ, and names that no hook saw.
    let replayed = engine(6, |name, _, values| {
        if name == "layer_1_attn_out" {
            noise(77, WIDTH)
        } else {
            values
        }
    });
    let codes = check_codes(&replayed);
    assert!(codes.contains(&"S005"), "{codes:?}");
    let partial: Vec<_> = plain(6)
        .into_iter()
        .filter(|line| {
            !line.0["checkpoint"]
                .as_str()
                .unwrap()
                .starts_with("layer_1_")
        })
        .collect();
    let report = compare_lines(&plain(6), &partial);
    assert_eq!(
        report.coverage.missing_in_candidate.records,
        6 * BLOCK.len() as u64
    );
    assert!(
        report
            .coverage
            .missing_in_candidate
            .groups
            .iter()
            .any(|group| group.pattern == "layer_*_attn_out")
    );
}

#[test]
fn hooks_that_never_ran() {
    let report = compare_lines(&plain(2), &[]);
    assert_eq!(
        (report.verdict.as_str(), report.exit_code),
        ("not comparable", 3)
    );
    assert!(finding(&report, "S030").side == "candidate");
}

#[test]
fn numbers_that_json_does_not_have() {
    let folder = Folder::new();
    let path = folder.path("t.jsonl");
    let recorder = Recorder::create(Settings::new(&path, "t")).unwrap();
    let values = [f32::NEG_INFINITY, f32::NAN, 0.5, f32::INFINITY];
    assert_eq!(
        recorder.log(&Event::new("logprobs", 0), &values),
        Logged::Written
    );
    let text = std::fs::read_to_string(&path).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).expect("any JSON reader takes it");
    assert_eq!(line["values"], json!(["-Infinity", "NaN", 0.5, "Infinity"]));
    // What other programs write is read too, and said.
    let bare = text
        .replace("\"-Infinity\"", "-Infinity")
        .replace("\"NaN\"", "NaN")
        .replace("\"Infinity\"", "Infinity");
    assert_ne!(text, bare);
    let report = compare_with(
        &Trace::open(&path).unwrap(),
        &folder.write_text("bare.jsonl", &bare),
        &Options::default(),
    );
    assert_eq!(report.verdict, "match", "{:?}", report.findings);
    assert!(finding(&report, "S030").side == "candidate");
}

#[test]
fn a_copy_read_before_it_was_there() {
    // Zeros where the copy had not begun.
    let zeros = engine(6, |name, position, values| {
        if name == "layer_0_attn_out" && position % 2 == 0 {
            vec![0.0; WIDTH]
        } else {
            values
        }
    });
    let codes = check_codes(&zeros);
    assert!(codes.contains(&"S004"), "{codes:?}");
    // The step before: no single trace shows it, and against a second one it is where the numbers part and nothing follows.
    let late = engine(6, |name, position, values| {
        if name == "layer_0_attn_out" && position > 0 {
            noise(1 + 1000 * place(name) as u64 + position as u64 - 1, WIDTH)
        } else {
            values
        }
    });
    let report = compare_lines(&plain(6), &late);
    assert_eq!(
        report.origins[0].undone_by.as_deref(),
        Some("layer_0_attn_residual"),
        "{:?}",
        report.reasons
    );
    let different: Vec<&str> = report
        .checkpoints
        .iter()
        .filter(|checkpoint| checkpoint.identical < checkpoint.pairs)
        .map(|checkpoint| &*checkpoint.checkpoint)
        .collect();
    assert_eq!(different, ["layer_0_attn_out"]);
}

#[test]
fn a_log_that_ends_in_a_crash() {
    let folder = Folder::new();
    let whole: String = plain(3)
        .iter()
        .map(|line| format!("{}\n", line.0))
        .collect();
    let cut = folder.write_text("cut.jsonl", &whole[..whole.len() - 40]);
    let report = compare_with(
        &folder.write_text("whole.jsonl", &whole),
        &cut,
        &Options::default(),
    );
    let all = 3 * names().len() as u64;
    assert_eq!(
        (report.coverage.compared, report.coverage.identical),
        (all - 1, all - 1),
        "all but the last line"
    );
    assert_eq!(finding(&report, "S030").side, "candidate");
    assert!(
        checked(&cut)
            .findings
            .iter()
            .any(|finding| finding.code == "S030" || finding.code == "S031")
    );
    // That nothing is lost before it is the logger's part: `orch-log/tests/nothing_lost.rs` kills writers.
}
