//! Every canonical checkpoint of every block is captured exactly once a pass, in order, with its shape.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{capture, config, read, smollm2, tiny_model};
use ggml_capture::capture::vocabulary;
use ggml_capture::models::Architecture;

/// Sizes of a model that decide the shapes.
struct Sizes {
    layers: usize,
    embedding: usize,
    heads: usize,
    heads_kv: usize,
    head_dim: usize,
    feed_forward: usize,
    vocabulary: usize,
}

const TINY: Sizes = Sizes {
    layers: 3,
    embedding: 128,
    heads: 4,
    heads_kv: 2,
    head_dim: 32,
    feed_forward: 224,
    vocabulary: 512,
};
const SMOLLM2: Sizes = Sizes {
    layers: 30,
    embedding: 576,
    heads: 9,
    heads_kv: 3,
    head_dim: 64,
    feed_forward: 1536,
    vocabulary: 49152,
};

impl Sizes {
    /// The shape of a checkpoint, from product knowledge and not from the capture.
    fn shape(&self, name: &str, tokens: usize, kv: usize) -> Vec<usize> {
        let point = name
            .strip_prefix("layer_")
            .and_then(|rest| rest.split_once('_'))
            .map_or(name, |(_, point)| point);
        match point {
            "tokens" => vec![tokens],
            "q" | "q_rope" | "attn_context" => vec![tokens, self.heads, self.head_dim],
            "k" | "k_rope" | "v" => vec![tokens, self.heads_kv, self.head_dim],
            "attn_scores" | "attn_probs" => vec![tokens, self.heads, kv],
            "ffn_gate" | "ffn_up" | "ffn_act" => vec![tokens, self.feed_forward],
            "logits" => vec![tokens, self.vocabulary],
            _ => vec![tokens, self.embedding],
        }
    }
}

fn check(model: &std::path::Path, sizes: &Sizes) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("ref.jsonl");
    let summary = capture(&config(model, &trace));
    let expected: Vec<String> = vocabulary(sizes.layers)
        .filter(|name| !name.ends_with("q_norm") && !name.ends_with("k_norm"))
        .collect();
    let records = read(&trace);
    let prompt = summary.prompt_tokens.len();
    assert!(prompt > 4, "the prompt must be longer than one token");
    assert_eq!(records.len(), expected.len() * summary.passes);
    for (step, pass) in records.chunks(expected.len()).enumerate() {
        let (first, tokens) = if step == 0 {
            (0, prompt)
        } else {
            (prompt + step - 1, 1)
        };
        for (tensor, name) in pass.iter().zip(&expected) {
            let record = &tensor.record;
            assert_eq!(&record.checkpoint, name);
            assert_eq!(record.token_idx, first as i64, "{name} of step {step}");
            assert_eq!(
                (record.n_tokens, record.step),
                (tokens, Some(step as u64)),
                "{name}"
            );
            assert_eq!(
                record.shape,
                sizes.shape(name, tokens, first + tokens),
                "{name} of step {step}"
            );
            assert!(tensor.data.iter().all(|value| value.is_finite()), "{name}");
        }
        let ids: Vec<i32> = pass[0].data.iter().map(|id| *id as i32).collect();
        let fed = [summary.prompt_tokens.as_slice(), &summary.continuation].concat();
        assert_eq!(ids, fed[first..first + tokens]);
    }
}

#[test]
fn tiny_llama() {
    let folder = tempfile::tempdir().unwrap();
    check(&tiny_model(folder.path(), Architecture::Llama), &TINY);
}

#[test]
fn tiny_qwen2() {
    let folder = tempfile::tempdir().unwrap();
    check(&tiny_model(folder.path(), Architecture::Qwen2), &TINY);
}

#[test]
fn smollm2_quantised() {
    check(&smollm2(), &SMOLLM2);
}
