//! On F32 weights the worker and llama.cpp compute the same function: at every canonical checkpoint, in
//! prefill and in decode, they differ by rounding only.
//!
//! The error is computed here from the payloads, without any code of `parity`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test tells by panicking and printing"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Full, Reference, kind, read_trace, smollm2_as, tiny_model, worker_ok};
use ggml_capture::models::{Architecture, Weights};

/// Root mean square of the difference over root mean square of the reference. A correct port reached
/// 2.9e-6 in the middle of a 30-layer model; a wrong epsilon, the smallest mistake, gives 3.7e-4.
const LIMIT: f64 = 1e-5;

/// Checkpoints of one pass with `layers` layers, without query and key norms.
fn expected_checkpoints(layers: usize) -> usize {
    2 + 17 * layers + 2
}

struct Comparison {
    /// Worst relative RMSE by kind of checkpoint and phase.
    worst: BTreeMap<(String, &'static str), (f64, String)>,
    pairs: usize,
    passes: usize,
}

/// Runs both engines and compares every record; the worker is fed with the reference's tokens.
fn compare(model: &Path, prompt: &str, picks: usize, worker_args: &[&str]) -> Comparison {
    let folder = tempfile::tempdir().unwrap();
    let (reference, candidate) = (
        folder.path().join("ref.jsonl"),
        folder.path().join("cand.jsonl"),
    );
    let summary = Reference {
        model,
        prompt,
        picks,
    }
    .run(&reference);
    let (model, forced) = (model.to_str().unwrap(), reference.to_str().unwrap());
    let mut args = vec![
        "generate",
        "-m",
        model,
        "-p",
        prompt,
        "--force-tokens",
        forced,
    ];
    args.extend(worker_args);
    let output = worker_ok(Some(&candidate), &args);
    println!("{output}");
    assert!(output.contains("own picks equal all"), "{output}");
    let (reference, candidate) = (read_trace(&reference), read_trace(&candidate));
    assert_eq!(reference.len(), candidate.len(), "records");
    let mut worst = BTreeMap::new();
    for (reference, candidate) in reference.iter().zip(&candidate) {
        let error = relative_rmse(reference, candidate);
        let phase = if candidate.record.step == Some(0) {
            "prefill"
        } else {
            "decode"
        };
        let name = format!(
            "{} at token {}",
            candidate.record.checkpoint, candidate.record.token_idx
        );
        let entry = worst
            .entry((kind(&candidate.record.checkpoint), phase))
            .or_insert((0.0, String::new()));
        if error > entry.0 || error.is_nan() {
            *entry = (error, name);
        }
    }
    Comparison {
        worst,
        pairs: candidate.len(),
        passes: summary.passes,
    }
}

fn relative_rmse(reference: &Full, candidate: &Full) -> f64 {
    let (a, b) = (&reference.record, &candidate.record);
    assert_eq!(a.checkpoint, b.checkpoint, "order of records");
    let place = format!("{} at token {}", a.checkpoint, a.token_idx);
    assert_eq!(
        (a.token_idx, a.n_tokens, a.step, a.seq),
        (b.token_idx, b.n_tokens, b.step, b.seq),
        "{place}"
    );
    assert_eq!(a.shape, b.shape, "{place}");
    assert_eq!(reference.numbers.len(), candidate.numbers.len(), "{place}");
    if a.checkpoint == "tokens" {
        assert_eq!(a.values, b.values, "{place}");
        return 0.0;
    }
    let (mut difference, mut total) = (0.0, 0.0);
    for (index, (a, b)) in reference.numbers.iter().zip(&candidate.numbers).enumerate() {
        if masked(&reference.record, index) {
            continue;
        }
        difference += (f64::from(*a) - f64::from(*b)).powi(2);
        total += f64::from(*a).powi(2);
    }
    assert!(total > 0.0, "{place}: the reference is all zeros");
    (difference / total).sqrt()
}

/// Whether an element is a score of a token after the row's own, which neither engine uses.
fn masked(record: &orch_log::format::Record, index: usize) -> bool {
    if !record.checkpoint.ends_with("_attn_scores") {
        return false;
    }
    let (heads, kv) = (record.shape[1], record.shape[2]);
    let (row, column) = (index / (heads * kv), index % kv);
    column as i64 > record.token_idx + row as i64
}

fn check(name: &str, comparison: &Comparison, layers: usize) {
    for ((kind, phase), (error, place)) in &comparison.worst {
        println!("{name}: {phase:>7} {kind:<22} {error:.1e} ({place})");
    }
    assert_eq!(
        comparison.pairs,
        comparison.passes * expected_checkpoints(layers),
        "{name}: records"
    );
    for ((_, phase), (error, place)) in &comparison.worst {
        assert!(
            *error <= LIMIT,
            "{name}, {phase}: {place}: relative RMSE {error:e} is above {LIMIT:e}"
        );
    }
}

#[test]
fn tiny_llama() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = tiny_model(folder.path(), Architecture::Llama) else {
        return;
    };
    check(
        "tiny llama",
        &compare(&model, "Write a haiku about GPU computing", 6, &[]),
        3,
    );
}

#[test]
fn tiny_qwen2() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = tiny_model(folder.path(), Architecture::Qwen2) else {
        return;
    };
    check(
        "tiny qwen2",
        &compare(&model, "Write a haiku about GPU computing", 6, &[]),
        3,
    );
}

#[test]
fn smollm2_f32() {
    let Some(model) = smollm2_as("F32", Weights::F32) else {
        return;
    };
    let chat =
        "<|im_start|>user\nWrite a haiku about GPU computing<|im_end|>\n<|im_start|>assistant\n";
    check("SmolLM2 F32", &compare(&model, chat, 10, &[]), 30);
}
