//! Every captured tensor follows, in f64, from the captured inputs of its operation and the weights in the
//! file: so each has the right name, the right layout and the right rows, and none is missing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use common::block::{Block, Cache, Tensors};
use common::form::{EMBEDDING, Form, LAYERS, VOCABULARY};
use common::maths::{capped, gelu, ggml_gelu, linear, relative_rmse, sum};
use common::{capture, config, read, weights::weights};
use ggml_capture::Config;
use ggml_capture::models::Architecture;

/// ggml sums in f32; at most 224 terms. The largest error seen is 3e-7.
const LIMIT: f64 = 1e-6;

/// The stream that enters the first block.
fn embedding(form: &Form, w: &Tensors, tokens: &[f64], first: usize) -> Vec<f64> {
    assert_eq!(w["token_embd.weight"].len(), VOCABULARY * EMBEDDING);
    let row = |table: &str, index: usize| w[table][index * EMBEDDING..][..EMBEDDING].to_vec();
    let rows = tokens.iter().zip(first..).flat_map(|(id, position)| {
        let embedded = row("token_embd.weight", *id as usize);
        if form.positions {
            sum(&embedded, &row("position_embd.weight", position))
        } else {
            embedded
        }
    });
    rows.map(|x| x * form.scale).collect()
}

fn check(architecture: Architecture) {
    check_run(architecture, |_| ());
}

/// Checks a run whose configuration `change` changes.
fn check_run(architecture: Architecture, change: fn(&mut Config)) {
    let form = Form::of(architecture);
    let folder = tempfile::tempdir().unwrap();
    let model = form.model(folder.path());
    let trace = folder.path().join("ref.jsonl");
    let mut config = config(&model, &trace);
    change(&mut config);
    let summary = capture(&config);
    if let Some(n_ubatch) = config.n_ubatch {
        assert!(summary.prompt_tokens.len() > 4 * n_ubatch, "a long prompt");
    }
    let w = weights(&model);
    let records = read(&trace);
    assert_eq!(records.len() % summary.passes, 0);
    let per_pass = records.len() / summary.passes;
    let mut caches = vec![Cache::default(); LAYERS];
    let mut worst = (0.0, String::new());

    for pass in records.chunks(per_pass) {
        let values = |data: &[f32]| data.iter().map(|value| f64::from(*value)).collect();
        let found: Tensors = pass
            .iter()
            .map(|tensor| (tensor.record.checkpoint.clone(), values(&tensor.data)))
            .collect();
        let first = usize::try_from(pass[0].record.token_idx).unwrap();
        let tokens = pass[0].record.n_tokens;
        let mut names = vec!["tokens".to_owned()];
        let mut expect = |name: String, expected: Vec<f64>| {
            let error = relative_rmse(&expected, &found[&name]);
            // ggml's angles are f32, whose rounding grows with the position.
            let turned = if name.ends_with("_rope") {
                2.0 * f64::from(f32::EPSILON) * (first + tokens) as f64
            } else {
                0.0
            };
            let limit = LIMIT.max(turned);
            assert!(error <= limit, "{name} at {first}: relative RMSE {error:e}");
            if error > worst.0 {
                worst = (error, name.clone());
            }
            names.push(name);
        };
        let embedded = embedding(&form, &w, &found["tokens"], first);
        expect("embedding".to_owned(), embedded);
        let mut stream = &found["embedding"];
        for (layer, cache) in caches.iter_mut().enumerate() {
            let block = Block {
                form: &form,
                weights: &w,
                found: &found,
                layer,
                first,
                tokens,
            };
            for (point, expected) in block.expected(stream, cache) {
                expect(format!("layer_{layer}_{point}"), expected);
            }
            stream = &found[&format!("layer_{layer}_output")];
        }
        expect(
            "final_norm".to_owned(),
            form.norm(stream, &w, "output_norm"),
        );
        let output = w.get("output.weight").unwrap_or(&w["token_embd.weight"]);
        let logits = linear(&found["final_norm"], output, None, EMBEDDING);
        let logits = logits.into_iter().map(|x| capped(x, form.logit_cap));
        expect("logits".to_owned(), logits.collect());

        // Each exactly once, in dataflow order.
        let order: Vec<_> = pass.iter().map(|t| t.record.checkpoint.clone()).collect();
        assert_eq!(order, names);
    }
    println!(
        "{architecture:?}: {per_pass} checkpoints a pass, largest relative RMSE {:.1e} at {}",
        worst.0, worst.1
    );
}

#[test]
fn ggml_looks_gelu_up() {
    for x in (-1200..1200).map(|x| f64::from(x) / 100.0) {
        let error = (ggml_gelu(x) - gelu(x)).abs();
        assert!(error <= 1e-3 * x.abs(), "{x}: {error:e}");
    }
}

#[test]
fn llama() {
    check(Architecture::Llama);
}

#[test]
fn qwen2() {
    check(Architecture::Qwen2);
}

#[test]
fn qwen3() {
    check(Architecture::Qwen3);
}

#[test]
fn gpt2() {
    check(Architecture::Gpt2);
}

#[test]
fn gemma2() {
    check(Architecture::Gemma2);
}

#[test]
fn gemma3() {
    check(Architecture::Gemma3);
}

#[test]
fn phi3() {
    check(Architecture::Phi3);
}

#[test]
fn mixtral() {
    check(Architecture::Mixtral);
}

#[test]
fn qwen2moe() {
    check(Architecture::Qwen2Moe);
}

#[test]
fn qwen3moe() {
    check(Architecture::Qwen3Moe);
}

/// Longer than what llama.cpp pads the cache of a sliding window to, and in several batches.
#[test]
fn gemma2_with_a_long_prompt() {
    check_run(Architecture::Gemma2, |config| {
        config.prompt = Some("Write a haiku about GPU computing. ".repeat(17));
        config.n_ubatch = Some(64);
    });
}
