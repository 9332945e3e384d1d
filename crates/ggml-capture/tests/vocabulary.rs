//! Every canonical checkpoint of every block is captured exactly once a pass, in order, with its shape, its
//! positions and its inputs.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;

use common::form::{EMBEDDING, EXPERTS, Experts, FEED_FORWARD, FORMS, HEADS, LAYERS, VOCABULARY};
use common::{Tensor, capture, config, read, smollm2};
use ggml_capture::capture::vocabulary;

/// Sizes of a model that decide the shapes.
struct Sizes {
    layers: usize,
    embedding: usize,
    heads: usize,
    heads_kv: usize,
    head_dim: usize,
    feed_forward: usize,
    vocabulary: usize,
    experts: Option<Experts>,
}

const SMOLLM2: Sizes = Sizes {
    layers: 30,
    embedding: 576,
    heads: 9,
    heads_kv: 3,
    head_dim: 64,
    feed_forward: 1536,
    vocabulary: 49152,
    experts: None,
};

/// What a block of llama has.
const LLAMA_BLOCK: [&str; 17] = [
    "attn_norm",
    "q",
    "k",
    "v",
    "q_rope",
    "k_rope",
    "attn_scores",
    "attn_probs",
    "attn_context",
    "attn_out",
    "attn_residual",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_act",
    "ffn_out",
    "output",
];

fn point(name: &str) -> &str {
    name.strip_prefix("layer_")
        .and_then(|rest| rest.split_once('_'))
        .map_or(name, |(_, point)| point)
}

impl Sizes {
    /// The shape of a checkpoint, from product knowledge and not from the capture.
    fn shape(&self, name: &str, tokens: usize, kv: usize) -> Vec<usize> {
        let (count, used) = EXPERTS;
        let (expert, shared) = self
            .experts
            .map_or((0, None), |e| (e.feed_forward, e.shared));
        match point(name) {
            "ffn_router" | "ffn_router_probs" => vec![tokens, count],
            "ffn_experts" | "ffn_expert_weights" => vec![tokens, used],
            "ffn_expert_gate" | "ffn_expert_up" | "ffn_expert_act" => vec![tokens, used, expert],
            "ffn_expert_out" => vec![tokens, used, self.embedding],
            "ffn_shared_router" | "ffn_shared_weight" => vec![tokens, 1],
            "ffn_shared_gate" | "ffn_shared_up" | "ffn_shared_act" => vec![tokens, shared.unwrap()],
            "tokens" => vec![tokens],
            "q" | "q_norm" | "q_rope" | "attn_context" => vec![tokens, self.heads, self.head_dim],
            "k" | "k_norm" | "k_rope" | "v" => vec![tokens, self.heads_kv, self.head_dim],
            "attn_scores" | "attn_probs" => vec![tokens, self.heads, kv],
            "ffn_gate" | "ffn_up" | "ffn_act" => vec![tokens, self.feed_forward],
            "logits" => vec![tokens, self.vocabulary],
            _ => vec![tokens, self.embedding],
        }
    }
}

/// Checks what all records have in common, and returns them pass by pass.
fn passes(model: &Path, sizes: &Sizes) -> Vec<Vec<Tensor>> {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("ref.jsonl");
    let summary = capture(&config(model, &trace));
    let prompt = summary.prompt_tokens.len();
    assert!(prompt > 4, "the prompt must be longer than one token");
    let mut passes: Vec<Vec<Tensor>> = Vec::new();
    for tensor in read(&trace) {
        if tensor.record.checkpoint == "tokens" {
            passes.push(Vec::new());
        }
        passes.last_mut().unwrap().push(tensor);
    }
    assert_eq!(passes.len(), summary.passes);
    for (step, pass) in passes.iter().enumerate() {
        let (first, tokens) = if step == 0 {
            (0, prompt)
        } else {
            (prompt + step - 1, 1)
        };
        for tensor in pass {
            let record = &tensor.record;
            let name = &record.checkpoint;
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
    passes
}

#[test]
fn every_architecture() {
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let sizes = Sizes {
            layers: LAYERS,
            embedding: EMBEDDING,
            heads: HEADS,
            heads_kv: form.heads_kv,
            head_dim: form.head_dim,
            feed_forward: FEED_FORWARD,
            vocabulary: VOCABULARY,
            experts: form.experts,
        };
        for pass in passes(&form.model(folder.path()), &sizes) {
            let names: Vec<_> = pass.iter().map(|t| t.record.checkpoint.clone()).collect();
            let ordered = vocabulary(sizes.layers).filter(|name| names.contains(name));
            assert_eq!(ordered.collect::<Vec<_>>(), names);
            for tensor in &pass {
                let record = &tensor.record;
                let known = record.src.iter();
                let known = known.filter(|source| names.contains(source)).count();
                let expected = match point(&record.checkpoint) {
                    "tokens" => continue,
                    "embedding" => 0,
                    "attn_scores" | "attn_context" | "attn_residual" | "output" => 2,
                    "ffn_expert_weights" | "ffn_expert_gate" | "ffn_expert_up" => 2,
                    "ffn_expert_act" | "ffn_expert_out" | "ffn_shared_act" => 2,
                    "ffn_out" if form.experts.is_some_and(|e| e.shared.is_some()) => 4,
                    "ffn_out" if form.experts.is_some() => 2,
                    "ffn_act" if names.iter().any(|name| name == "layer_0_ffn_gate") => 2,
                    _ => 1,
                };
                assert_eq!(
                    known, expected,
                    "{:?}: {} from {:?}",
                    form.architecture, record.checkpoint, record.src
                );
            }
        }
    }
}

#[test]
fn smollm2_quantised() {
    let block = |layer| LLAMA_BLOCK.map(|point| format!("layer_{layer}_{point}"));
    let outside = |names: [&str; 2]| names.map(str::to_owned);
    let mut expected = outside(["tokens", "embedding"]).to_vec();
    expected.extend((0..SMOLLM2.layers).flat_map(block));
    expected.extend(outside(["final_norm", "logits"]));
    for pass in passes(&smollm2(), &SMOLLM2) {
        let names: Vec<_> = pass.into_iter().map(|t| t.record.checkpoint).collect();
        assert_eq!(names, expected);
    }
}
