//! Different inputs, and what lies before and behind the forward pass.

use super::support::{
    Folder, Line, codes, compare_lines, compare_with, finding, noise, record, tokens,
};
use super::{engine, plain};
use parity::Options;

/// A sequence whose deeper layers depend on everything before.
fn fed(ids: &[i32]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut history = 0_u64;
    for (position, id) in ids.iter().enumerate() {
        history = history.wrapping_mul(31).wrapping_add(*id as u64);
        let position = position as i64;
        lines.push(tokens(position, &[*id]));
        lines.push(record("embedding", position, &noise(*id as u64, 16)));
        lines.push(record(
            "layer_0_attn_context",
            position,
            &noise(history ^ 0xabc, 16),
        ));
    }
    lines
}

#[test]
fn a_missing_bos() {
    let (with, without) = (fed(&[1, 40, 41, 42]), fed(&[40, 41, 42]));
    let report = compare_lines(&with, &without);
    assert_eq!(report.exit_code, 3);
    assert!(
        finding(&report, "C001").examples[0]
            .contains("the token at position 0 is 1 in the reference and 40 in the candidate"),
        "{:?}",
        report.findings
    );
    // Moved by one, rows of the embedding are the same and everything that has seen the BOS is not.
    let folder = Folder::new();
    let options = Options {
        token_offset: Some(1),
        ..Options::default()
    };
    let moved = compare_with(
        &folder.write("r.jsonl", &with),
        &folder.write("c.jsonl", &without),
        &options,
    );
    assert_eq!(
        (moved.verdict.as_str(), moved.coverage.identical),
        ("diverged", 3)
    );
    assert_eq!(
        moved.first_divergence.unwrap().checkpoint,
        "layer_0_attn_context"
    );
}

#[test]
fn a_bos_too_many() {
    let report = compare_lines(&fed(&[1, 40, 41]), &fed(&[1, 1, 40, 41]));
    assert_eq!(report.exit_code, 3);
    assert!(
        finding(&report, "C001").examples[0]
            .contains("the token at position 1 is 40 in the reference and 1 in the candidate"),
        "{:?}",
        report.findings
    );
    // What lies before is compared all the same.
    assert_eq!(
        (report.coverage.compared, report.coverage.identical),
        (2, 2)
    );
}

#[test]
fn log_probabilities_of_the_row_of_their_own_token() {
    let ids = [3_usize, 7, 1, 5];
    let log_softmax = |row: i64, id: usize| {
        let logits = noise(900 + row as u64, 24);
        let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
        logits[id] - sum.ln()
    };
    let trace = |shift: i64| {
        let mut lines = Vec::new();
        for position in 0..4 {
            lines.push(tokens(position, &[ids[position as usize] as i32]));
            lines.push(record(
                "logits",
                position,
                &noise(900 + position as u64, 24),
            ));
        }
        for position in 1..4 {
            let value = log_softmax(position - shift, ids[position as usize]);
            lines.push(record("prompt_logprobs", position, &[value]));
        }
        lines
    };
    let report = compare_lines(&trace(1), &trace(0));
    assert_eq!(report.exit_code, 1);
    let logits = report
        .checkpoints
        .iter()
        .find(|checkpoint| checkpoint.checkpoint == "logits")
        .unwrap();
    assert_eq!(
        (logits.pairs, logits.identical),
        (4, 4),
        "the forward pass is right"
    );
    assert_eq!(
        report.first_divergence.unwrap().checkpoint,
        "prompt_logprobs"
    );
}

#[test]
fn a_penalty_after_the_forward_pass() {
    let seen = [4_usize, 9, 17];
    let trace = |penalty: f32| {
        let mut lines = engine(1, |_, _, values| values);
        let mut logits = noise(4242, 24);
        for id in seen {
            let logit = &mut logits[id];
            *logit = if *logit > 0.0 {
                *logit / penalty
            } else {
                *logit * penalty
            };
        }
        lines.push(record("sampler_logits", 0, &logits));
        lines
    };
    let report = compare_lines(&trace(1.0), &trace(1.3));
    let raw = report
        .checkpoints
        .iter()
        .find(|checkpoint| checkpoint.checkpoint == "logits")
        .unwrap();
    assert_eq!(raw.identical, raw.pairs);
    let first = report.first_divergence.unwrap();
    assert_eq!(first.checkpoint, "sampler_logits");
    let mut places: Vec<u64> = first
        .pair
        .worst_elements
        .iter()
        .map(|element| element.at[0])
        .collect();
    places.sort_unstable();
    assert_eq!(
        places,
        seen.map(|id| id as u64),
        "only ids that were there before"
    );
    for element in &first.pair.worst_elements {
        let ratio = element.candidate.0 / element.reference.0;
        assert!(
            (ratio - 1.3).abs() < 1e-6 || (ratio - 1.0 / 1.3).abs() < 1e-6,
            "{ratio}"
        );
    }
}

#[test]
fn padded_frames_of_another_constant() {
    let (frames, bands, speech) = (12, 4, 7);
    let trace = |pad: f32| {
        let mut mel = noise(5, frames * bands);
        mel[speech * bands..].fill(pad);
        vec![
            record("input_features", 0, &mel).shape(&[frames, bands]),
            record(
                "encoder_output",
                0,
                &noise(if pad == 0.0 { 6 } else { 7 }, 8),
            ),
        ]
    };
    let report = compare_lines(&trace(-1.5), &trace(0.0));
    let first = report.first_divergence.unwrap();
    assert_eq!(
        first.checkpoint, "input_features",
        "before the model, not in it"
    );
    assert!(
        first
            .pair
            .worst_elements
            .iter()
            .all(|element| element.at[0] >= speech as u64),
        "{:?}",
        first.pair.worst_elements
    );
    assert_eq!(first.pair.figures.unwrap().max_abs_diff.0, 1.5);
}

#[test]
fn two_continuations() {
    let own = |ids: &[i32]| fed(ids);
    let report = compare_lines(&own(&[5, 6, 7, 8, 9]), &own(&[5, 6, 7, 3, 4]));
    assert_eq!(
        (report.verdict.as_str(), report.exit_code),
        ("not comparable", 3)
    );
    assert!(codes(&report).contains(&"C001"));
    assert_eq!(
        (report.coverage.compared, report.coverage.past_inputs),
        (6, 4)
    );
    assert!(
        finding(&report, "C001")
            .help
            .as_ref()
            .unwrap()
            .contains("--force-tokens")
    );
    // Forced, the two compute the same function.
    assert_eq!(compare_lines(&plain(3), &plain(3)).verdict, "match");
}
