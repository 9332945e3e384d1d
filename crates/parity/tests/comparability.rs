//! When numbers that disagree prove nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use parity::Options;
use parity::report::v1::Report;
use serde_json::json;
use support::{
    Folder, Line, codes, compare_lines, compare_with, finding, named, noise, record, tokens,
};

const WIDTH: usize = 16;

/// What a model makes of the token at a place of the text: another vector for every place.
fn vector(checkpoint: &str, place: i64) -> Vec<f32> {
    let seed = checkpoint
        .bytes()
        .fold(7, |seed: u64, byte| seed * 31 + u64::from(byte));
    noise(seed + 1000 * place as u64, WIDTH)
}

const NAMES: [&str; 4] = ["embedding", "layer_0_output", "final_norm", "logits"];

/// A run over the places `from..to` of the text whose positions are counted from `origin`.
fn run(from: i64, to: i64, origin: i64) -> Vec<Line> {
    (from..to)
        .flat_map(|place| NAMES.map(|name| record(name, place - origin, &vector(name, place))))
        .collect()
}

fn with_offset(reference: &[Line], candidate: &[Line], offset: i64) -> Report {
    let folder = Folder::new();
    let options = Options {
        token_offset: Some(offset),
        ..Options::default()
    };
    compare_with(
        &folder.write("a.jsonl", reference),
        &folder.write("b.jsonl", candidate),
        &options,
    )
}

#[test]
fn another_origin_is_estimated_from_the_numbers_and_offered() {
    // The reference counts from the first generated token, the candidate from the first of the prompt.
    for (reference, candidate, offset) in [
        (run(7, 20, 0), run(7, 20, 7), 7),
        (run(0, 20, 0), run(0, 20, -7), -7),
        (run(7, 12, 0), run(0, 30, 4), 4),
    ] {
        let report = compare_lines(&reference, &candidate);
        assert_eq!(report.exit_code, 3, "{:?}", codes(&report));
        let said = &finding(&report, "C009").examples[0];
        assert!(
            said.contains(&format!("`--token-offset {offset}`")),
            "{said}"
        );
        assert!(
            report
                .reasons
                .iter()
                .any(|reason| reason.contains(&format!("--token-offset {offset}")))
        );
        assert_eq!(with_offset(&reference, &candidate, offset).verdict, "match");
    }
    // Numbers that agree nowhere are no offset, and neither is a mistake in one checkpoint.
    let wrong: Vec<Line> = run(0, 12, 0)
        .iter()
        .map(|line| {
            let position = line.0["token_idx"].as_i64().unwrap();
            record(
                line.0["checkpoint"].as_str().unwrap(),
                position,
                &noise(position as u64 + 90_000, WIDTH),
            )
        })
        .collect();
    assert!(!codes(&compare_lines(&run(0, 12, 0), &wrong)).contains(&"C009"));
}

#[test]
fn padding_on_the_left_is_an_offset_of_the_ids() {
    let ids = [5, 9, 2, 7, 3];
    let mut reference = vec![tokens(0, &ids)];
    reference.extend(run(0, 5, 0));
    let mut candidate = vec![tokens(0, &[0, 0, 0, 5, 9, 2, 7, 3])];
    candidate.extend((0..3).flat_map(|pad| NAMES.map(|name| record(name, pad, &vector(name, 50)))));
    candidate.extend(run(0, 5, -3));
    let report = compare_lines(&reference, &candidate);
    assert_eq!(report.exit_code, 3);
    assert!(finding(&report, "C009").examples[0].contains("`--token-offset -3`"));
    assert!(finding(&report, "C009").examples[0].contains("5 token ids"));
    let report = with_offset(&reference, &candidate, -3);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 20)
    );
    // On the right it is only more positions.
    let mut candidate = vec![tokens(0, &[5, 9, 2, 7, 3, 0, 0])];
    candidate.extend(run(0, 5, 0));
    candidate.extend((5..7).flat_map(|pad| NAMES.map(|name| record(name, pad, &vector(name, 50)))));
    let report = compare_lines(&reference, &candidate);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 20)
    );
}

#[test]
fn a_prefix_with_the_same_tokens_is_compared() {
    let mut reference = vec![tokens(0, &[5, 9, 2, 7])];
    reference.extend(run(0, 4, 0));
    let mut candidate = vec![tokens(0, &[5, 9, 4, 7])];
    candidate.extend(run(0, 2, 0));
    candidate.extend(
        (2..4).flat_map(|place| NAMES.map(|name| record(name, place, &vector(name, place + 70)))),
    );
    let report = compare_lines(&reference, &candidate);
    assert_eq!(
        (
            report.exit_code,
            report.coverage.compared,
            report.coverage.identical
        ),
        (3, 8, 8)
    );
    assert!(report.reasons[0].contains("position 2"));
}

#[test]
fn logits_of_the_last_row_under_the_first_position() {
    // One batch; the candidate asks for one row of logits only, and logs it where the batch begins.
    let rows = |name: &str| -> Vec<f32> { (0..5).flat_map(|place| vector(name, place)).collect() };
    let batch = |name: &str| record(name, 0, &rows(name)).shape(&[5, WIDTH]).n_tokens(5);
    let ids = tokens(0, &[5, 9, 2, 7, 3]);
    let reference = [
        ids.clone(),
        batch("embedding"),
        batch("final_norm"),
        batch("logits"),
    ];
    let last = |position| {
        record("logits", position, &vector("logits", 4))
            .n_tokens(1)
            .shape(&[1, WIDTH])
    };
    let candidate = [
        ids.clone(),
        batch("embedding"),
        batch("final_norm"),
        last(0),
    ];
    let report = compare_lines(&reference, &candidate);
    assert_eq!(report.exit_code, 3);
    assert!(
        finding(&report, "C011").examples[0].contains("4 positions further on"),
        "{:?}",
        finding(&report, "C011")
    );
    let report = compare_lines(
        &reference,
        &[ids, batch("embedding"), batch("final_norm"), last(4)],
    );
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 3)
    );
    assert_eq!(report.alignment.reference.rests, 1, "the other four rows");
}

#[test]
fn logits_after_the_sampler() {
    let logits: Vec<f32> = noise(5, 400).iter().map(|x| x * 8.0).collect();
    let sum: f32 = logits.iter().map(|x| x.exp()).sum();
    let probabilities: Vec<f32> = logits.iter().map(|x| x.exp() / sum).collect();
    let line = |values: &[f32]| {
        record("logits", 0, &values[..10])
            .shape(&[400])
            .whole(values)
    };
    let report = compare_lines(&[line(&logits)], &[line(&probabilities)]);
    assert_eq!(
        (report.exit_code, finding(&report, "C011").side.as_str()),
        (3, "candidate")
    );
    assert!(
        report
            .reasons
            .iter()
            .any(|reason| reason.contains("probabilities"))
    );
    // Top-k: all but a few are cut off.
    let masked = record("logits", 0, &[f32::NEG_INFINITY; 10]).shape(&[400]).with(
        "stats",
        json!({"n": 400, "nan": 0, "inf": 390, "zero": 0, "min": 1.0, "max": 8.0, "mean": 4.0, "rms": 5.0}),
    );
    let report = compare_lines(&[line(&logits)], std::slice::from_ref(&masked));
    assert!(finding(&report, "C011").examples[0].contains("minus infinity"));
    assert!(
        !codes(&compare_lines(
            std::slice::from_ref(&masked),
            std::slice::from_ref(&masked)
        ))
        .contains(&"C011"),
        "alike on both sides"
    );
}

#[test]
fn another_vocabulary_and_a_padded_one() {
    let line = |n: usize| record("logits", 0, &noise(5, n));
    let padded = compare_lines(&[line(300)], &[line(304)]);
    assert_eq!((padded.verdict.as_str(), padded.exit_code), ("match", 0));
    assert_eq!(padded.alignment.undone[0].name, "padded-vocabulary");
    let other = compare_lines(&[line(300)], &[line(400)]);
    assert_eq!((other.exit_code, other.coverage.compared), (3, 0));
    assert!(
        finding(&other, "C013").examples[0].contains("300")
            && finding(&other, "C013").examples[0].contains("400")
    );
}

#[test]
fn other_files_with_other_parameters() {
    let folder = Folder::new();
    for (name, sha) in [("a", "1111"), ("b", "2222")] {
        let run = json!({"model": {"sha256": sha, "architecture": "llama", "layers": 1, "weights": "F32"}});
        folder.write_bytes(&format!("{name}.run.json"), run.to_string().as_bytes());
    }
    let with_ids = |lines: Vec<Line>| [vec![tokens(0, &[5, 9])], lines].concat();
    let reference = folder.write("a.jsonl", &with_ids(run(0, 2, 0)));
    let report = compare_with(
        &reference,
        &folder.write("b.jsonl", &with_ids(run(0, 2, 0))),
        &Options::default(),
    );
    assert_eq!(
        report.verdict, "match",
        "the same parameters in another file"
    );
    let report = compare_with(
        &reference,
        &folder.write("b.jsonl", &with_ids(run(30, 32, 30))),
        &Options::default(),
    );
    assert_eq!(report.exit_code, 3);
    assert!(codes(&report).contains(&"C012"));
}

#[test]
fn coverage_is_counted_and_can_be_a_gate() {
    let reference = run(0, 10, 0);
    // Every second record is missing: what is left agrees, and a comparator that only counts what is there says "pass".
    let candidate: Vec<Line> = reference.iter().step_by(2).cloned().collect();
    let folder = Folder::new();
    let (reference, candidate) = (
        folder.write("a.jsonl", &reference),
        folder.write("b.jsonl", &candidate),
    );
    let with = |least| {
        let options = Options {
            min_coverage: least,
            ..Options::default()
        };
        compare_with(&reference, &candidate, &options)
    };
    let report = with(None);
    assert_eq!(report.verdict, "match");
    let covered = (report.alignment.reference, report.alignment.candidate);
    assert_eq!((covered.0.records, covered.0.compared), (40, 20));
    assert_eq!((covered.1.records, covered.1.compared), (20, 20));
    assert_eq!(with(Some(50.0)).exit_code, 0);
    let report = with(Some(50.1));
    assert_eq!(report.exit_code, 3);
    assert!(finding(&report, "C014").examples[0].contains("20 of the reference's 40 records"));
}

#[test]
fn a_damaged_trace_is_not_compared_whatever_its_numbers_say() {
    // Links of a heap in the first words: what the field logs have, with other values and another allocator state.
    let damaged: Vec<Line> = (0..12_i64)
        .map(|position| {
            let mut values = noise(position as u64 + 1, 10);
            let address = 0x0000_5a3c_71b0_0000_u64 + 0x1270 * position as u64;
            values[0] = f32::from_bits(address as u32);
            values[1] = f32::from_bits((address >> 32) as u32);
            record("logits", position, &values).shape(&[49_152])
        })
        .collect();
    let sound: Vec<Line> = (0..12)
        .map(|position| {
            record("logits", position, &noise(position as u64 + 1, 10)).shape(&[49_152])
        })
        .collect();
    let report = compare_lines(&damaged, &sound);
    assert_eq!(report.exit_code, 3);
    assert!(
        report.reasons[0].starts_with("reference: freed memory was logged"),
        "{:?}",
        report.reasons
    );
    assert!(
        !report
            .reasons
            .iter()
            .any(|reason| reason.contains("first checkpoint")),
        "no divergence is told of it"
    );
    assert_eq!(named(&report, "freed-memory-was-logged").code, "S001");
    assert_eq!(compare_lines(&sound, &sound).verdict, "match");
}
