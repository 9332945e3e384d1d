//! The checkpoints of the forward pass: names, producing operations and inputs.
//!
//! Built once when the model is loaded, so that the forward pass formats no names. The inputs are
//! checkpoints of the same pass, as in the reference's traces; together they are the dataflow graph.
//! Weights are not among them: they are in the model's file and nobody logs them. Operations have ggml's
//! names, so that both engines' traces read alike.

use crate::arch::{Activation, NormKind};

/// The most inputs that an operation has.
pub(crate) const MAX_SRC: usize = 2;

/// One checkpoint: its name, the operation that makes it, and what goes in.
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) op: &'static str,
    src: Vec<String>,
}

impl Label {
    /// A checkpoint with at most [`MAX_SRC`] inputs.
    fn new<const N: usize>(name: impl Into<String>, op: &'static str, src: [String; N]) -> Self {
        const { assert!(N <= MAX_SRC) };
        Self {
            name: name.into(),
            op,
            src: src.into(),
        }
    }

    /// The names of the inputs, in an array that needs no allocation, and their number.
    pub(crate) fn src(&self) -> ([&str; MAX_SRC], usize) {
        let mut names = [""; MAX_SRC];
        for (slot, name) in names.iter_mut().zip(&self.src) {
            *slot = name;
        }
        (names, self.src.len())
    }
}

/// The checkpoints outside blocks.
pub(super) struct ModelLabels {
    pub(super) embedding: Label,
    pub(super) final_norm: Label,
    pub(super) logits: Label,
}

/// The checkpoints of a block outside its two halves.
pub(super) struct BlockLabels {
    pub(super) attn_norm: Label,
    pub(super) attn_residual: Label,
    pub(super) ffn_norm: Label,
    pub(super) output: Label,
}

/// The checkpoints of attention.
pub(super) struct AttentionLabels {
    pub(super) q: Label,
    pub(super) k: Label,
    pub(super) v: Label,
    pub(super) q_norm: Label,
    pub(super) k_norm: Label,
    pub(super) q_rope: Label,
    pub(super) k_rope: Label,
    pub(super) scores: Label,
    pub(super) probs: Label,
    pub(super) context: Label,
    pub(super) out: Label,
}

/// The checkpoints of the feed-forward network.
pub(super) struct FeedForwardLabels {
    pub(super) gate: Label,
    pub(super) up: Label,
    pub(super) act: Label,
    pub(super) out: Label,
}

/// ggml's name of a norm.
fn norm_op(kind: NormKind) -> &'static str {
    match kind {
        NormKind::RootMeanSquare => "RMS_NORM",
        NormKind::Layer => "NORM",
    }
}

impl ModelLabels {
    /// Of a model of `layers` blocks.
    pub(super) fn new(layers: usize, norm: NormKind) -> Self {
        let last = match layers.checked_sub(1) {
            Some(last) => format!("layer_{last}_output"),
            None => "embedding".into(),
        };
        Self {
            embedding: Label::new("embedding", "GET_ROWS", []),
            final_norm: Label::new("final_norm", norm_op(norm), [last]),
            logits: Label::new("logits", "MUL_MAT", ["final_norm".to_owned()]),
        }
    }
}

/// Which of the optional steps between a projection and the scores a model has.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    pub(super) q_norm: bool,
    pub(super) k_norm: bool,
    pub(super) rope: bool,
}

/// Names of one block's checkpoints.
#[derive(Clone, Copy)]
pub(super) struct Names {
    layer: usize,
}

impl Names {
    pub(super) fn new(layer: usize) -> Self {
        Self { layer }
    }

    fn name(self, point: &str) -> String {
        format!("layer_{}_{point}", self.layer)
    }

    fn from<const N: usize>(self, point: &str, op: &'static str, src: [&str; N]) -> Label {
        Label::new(self.name(point), op, src.map(|input| self.name(input)))
    }

    pub(super) fn block(self, norm: NormKind) -> BlockLabels {
        let input = match self.layer.checked_sub(1) {
            Some(previous) => format!("layer_{previous}_output"),
            None => "embedding".into(),
        };
        let attended = self.name("attn_out");
        BlockLabels {
            attn_norm: Label::new(self.name("attn_norm"), norm_op(norm), [input.clone()]),
            attn_residual: Label::new(self.name("attn_residual"), "ADD", [attended, input]),
            ffn_norm: self.from("ffn_norm", norm_op(norm), ["attn_residual"]),
            output: self.from("output", "ADD", ["ffn_out", "attn_residual"]),
        }
    }

    pub(super) fn attention(self, steps: Steps) -> AttentionLabels {
        let normed_q = if steps.q_norm { "q_norm" } else { "q" };
        let normed_k = if steps.k_norm { "k_norm" } else { "k" };
        let (query, key) = if steps.rope {
            ("q_rope", "k_rope")
        } else {
            (normed_q, normed_k)
        };
        AttentionLabels {
            q: self.from("q", "MUL_MAT", ["attn_norm"]),
            k: self.from("k", "MUL_MAT", ["attn_norm"]),
            v: self.from("v", "MUL_MAT", ["attn_norm"]),
            q_norm: self.from("q_norm", "RMS_NORM", ["q"]),
            k_norm: self.from("k_norm", "RMS_NORM", ["k"]),
            q_rope: self.from("q_rope", "ROPE", [normed_q]),
            k_rope: self.from("k_rope", "ROPE", [normed_k]),
            scores: self.from("attn_scores", "MUL_MAT", [key, query]),
            probs: self.from("attn_probs", "SOFT_MAX", ["attn_scores"]),
            context: self.from("attn_context", "MUL_MAT", ["v", "attn_probs"]),
            out: self.from("attn_out", "MUL_MAT", ["attn_context"]),
        }
    }

    pub(super) fn feed_forward(self, activation: Activation, gated: bool) -> FeedForwardLabels {
        let act = if gated {
            self.from("ffn_act", "GLU", ["ffn_gate", "ffn_up"])
        } else {
            let op = match activation {
                Activation::Silu => "SILU",
                Activation::Gelu => "GELU",
            };
            self.from("ffn_act", op, ["ffn_up"])
        };
        FeedForwardLabels {
            gate: self.from("ffn_gate", "MUL_MAT", ["ffn_norm"]),
            up: self.from("ffn_up", "MUL_MAT", ["ffn_norm"]),
            act,
            out: self.from("ffn_out", "MUL_MAT", ["ffn_act"]),
        }
    }
}
