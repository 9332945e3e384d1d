//! Who is to blame where only sketches of a prompt are known.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use parity::Options;
use support::{Folder, Line, compare_with, off_by, record, run_of};

const STAGES: [&str; 9] = [
    "attn_norm",
    "q",
    "k",
    "v",
    "q_rope",
    "k_rope",
    "attn_scores",
    "attn_probs",
    "attn_context",
];

/// A prompt of two tokens without its elements, and one token with all; `error(name, position)` is relative.
fn trace(error: &dyn Fn(&str, i64) -> f32) -> Vec<Line> {
    let names = std::iter::once("embedding".to_owned())
        .chain(STAGES.map(|stage| format!("layer_0_{stage}")));
    let names: Vec<String> = names.collect();
    let mut lines = Vec::new();
    for (position, tokens) in [(0, 2), (2, 1)] {
        for (seed, name) in names.iter().enumerate() {
            // Four heads, eight keys.
            let len = tokens * 32;
            let values = off_by(seed as u64 + 1, len, error(name, position));
            let shown = if tokens == 1 { len } else { 4 };
            let line = record(name, position, &values[..shown]);
            lines.push(line.shape(&[tokens, 4, 8]).n_tokens(tokens).whole(&values));
        }
    }
    lines
}

#[test]
fn first_values_of_scores_do_not_speak_for_a_prompt() {
    let folder = Folder::new();
    // A cache of half precision: scores may round 5e-3.
    folder.write_runs(&["ref", "cand"], &run_of(1, "F32", "f16"));
    let compare = |wrong: f32| {
        let error = move |name: &str, position: i64| match (name, position) {
            ("layer_0_attn_probs" | "layer_0_attn_context", 0) => wrong,
            _ => 1e-6,
        };
        compare_with(
            &folder.write("ref.jsonl", &trace(&|_, _| 0.0)),
            &folder.write("cand.jsonl", &trace(&error)),
            &Options::default(),
        )
    };
    // The first values of the scores, one of which is not hidden, agree to 1e-6. By hand: 5e-3 · 3 · 1.5 · 1.6 = 3.6 % of
    // the probabilities follow from what the others may be off by.
    let report = compare(0.01);
    assert_eq!(report.verdict, "rounding", "{:?}", report.reasons);
    let report = compare(0.3);
    assert_eq!(report.verdict, "diverged", "{:?}", report.reasons);
    assert_eq!(report.origins[0].checkpoints, ["layer_0_attn_probs"]);
    let local = report.origins[0].local.as_ref().unwrap();
    assert!((0.03..0.045).contains(&local.explained.0), "{local:?}");
}

/// The prompt's two tokens in one batch, or one by one; then one token more.
fn in_batches(prompt: &[(i64, usize)], error: &dyn Fn(&str, i64) -> f32) -> Vec<Line> {
    let mut lines = Vec::new();
    for (position, tokens) in prompt.iter().copied().chain([(2, 1)]) {
        for (seed, stage) in STAGES.iter().enumerate() {
            let name = format!("layer_0_{stage}");
            let values = off_by(seed as u64 + 1, tokens * 32, error(&name, position));
            let line = record(&name, position, &values[..4]);
            lines.push(line.shape(&[tokens, 4, 8]).n_tokens(tokens).whole(&values));
        }
    }
    lines
}

#[test]
fn keys_that_were_not_compared_may_explain_later_scores() {
    let folder = Folder::new();
    folder.write_runs(&["ref", "cand"], &run_of(1, "Q8_0", "f32"));
    let compare = |of_candidate: &[(i64, usize)]| {
        let error = |name: &str, position: i64| match (name, position) {
            ("layer_0_attn_scores" | "layer_0_attn_probs" | "layer_0_attn_context", 2) => 3e-3,
            _ => 0.0,
        };
        compare_with(
            &folder.write("ref.jsonl", &in_batches(&[(0, 2)], &|_, _| 0.0)),
            &folder.write("cand.jsonl", &in_batches(of_candidate, &error)),
            &Options::default(),
        )
    };
    // In the same batches all keys agree: scores that differ by 3e-3 are a mistake of their own.
    let report = compare(&[(0, 2)]);
    assert_eq!(report.verdict, "diverged", "{:?}", report.reasons);
    assert_eq!(report.origins[0].checkpoints, ["layer_0_attn_scores"]);
    // In others nothing is known of the prompt's keys.
    let report = compare(&[(0, 1), (1, 1)]);
    assert_eq!(report.verdict, "rounding", "{:?}", report.reasons);
}
