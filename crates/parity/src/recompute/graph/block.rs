//! The points of a block.

use super::{linear, norm, own, stream, sum};
use crate::recompute::hparams::Hparams;
use crate::recompute::kind::{Attend, HeadMap, Kind};
use crate::recompute::operation::{Input, Rows};

/// One block.
pub(super) struct Block<'h> {
    pub(super) hparams: &'h Hparams,
    pub(super) layer: usize,
}

impl Block<'_> {
    pub(super) fn name(&self, point: &str) -> String {
        format!("layer_{}_{point}", self.layer)
    }

    pub(super) fn tensor(&self, name: &str) -> String {
        format!("blk.{}.{name}", self.layer)
    }

    pub(super) fn has(&self, tensor: &str) -> bool {
        self.hparams
            .has(&format!("blk.{}.{tensor}.weight", self.layer))
    }

    pub(super) fn own(&self, point: &str) -> Input {
        own(self.name(point))
    }

    pub(super) fn all(&self, point: &str) -> Input {
        Input {
            checkpoint: self.name(point),
            rows: Rows::All,
        }
    }

    /// Inputs and formula of a point.
    pub(super) fn operation(&self, point: &str) -> Option<(Vec<Input>, Kind)> {
        let h = self.hparams;
        let own = |points: &[&str]| points.iter().map(|point| self.own(point)).collect();
        let attended = if self.has("post_attention_norm") {
            "attn_post_norm"
        } else {
            "attn_out"
        };
        let fed = if self.has("post_ffw_norm") {
            "ffn_post_norm"
        } else {
            "ffn_out"
        };
        let (query, key) = self.scored();
        Some(match point {
            "attn_norm" => (
                vec![super::own(stream(self.layer))],
                self.norm("attn_norm", h.embedding)?,
            ),
            "q" | "k" | "v" => (own(&["attn_norm"]), self.projection(point)?),
            "q_norm" => (own(&["q"]), self.norm("attn_q_norm", h.head_dim)?),
            "k_norm" => (own(&["k"]), self.norm("attn_k_norm", h.head_dim)?),
            "q_rope" => (own(&[self.normed("q_norm", "q")]), self.rope()?),
            "k_rope" => (own(&[self.normed("k_norm", "k")]), self.rope()?),
            "attn_scores" => (vec![self.own(query), self.all(key)], self.scores()),
            "attn_probs" => (own(&["attn_scores"]), self.probs()),
            "attn_context" => (
                vec![self.own("attn_probs"), self.all("v")],
                Kind::Context(Attend {
                    heads: HeadMap::Grouped,
                    cache: h.cache,
                    operand: h.cache,
                }),
            ),
            "attn_out" => (own(&["attn_context"]), self.linear("attn_output")?),
            "attn_post_norm" => (
                own(&["attn_out"]),
                self.norm("post_attention_norm", h.embedding)?,
            ),
            "attn_residual" => (
                vec![self.own(attended), super::own(stream(self.layer))],
                sum(),
            ),
            "ffn_norm" => (own(&["attn_residual"]), self.norm("ffn_norm", h.embedding)?),
            "ffn_post_norm" => (own(&["ffn_out"]), self.norm("post_ffw_norm", h.embedding)?),
            "output" => (own(&[fed, "attn_residual"]), sum()),
            _ if self.has("ffn_gate_inp") => return self.experts(point),
            _ => return self.feed_forward(point),
        })
    }

    pub(super) fn norm(&self, tensor: &str, group: usize) -> Option<Kind> {
        norm(self.hparams, &self.tensor(tensor), group)
    }

    pub(super) fn linear(&self, tensor: &str) -> Option<Kind> {
        linear(self.hparams, &self.tensor(tensor), None)
    }

    /// The norm where the model has one.
    pub(super) fn normed(&self, norm: &'static str, projection: &'static str) -> &'static str {
        let tensor = if projection == "q" {
            "attn_q_norm"
        } else {
            "attn_k_norm"
        };
        if self.has(tensor) { norm } else { projection }
    }

    /// What scores are made of.
    fn scored(&self) -> (&'static str, &'static str) {
        if self.hparams.form.pairing.is_some() {
            ("q_rope", "k_rope")
        } else {
            (self.normed("q_norm", "q"), self.normed("k_norm", "k"))
        }
    }
}
