//! A block in f64: every checkpoint from the captured checkpoints that it is computed from.

use std::collections::HashMap;

use super::form::{Form, HEADS};
use super::maths::{Rope, capped, layer_norm, linear, rms_norm, sum};

/// Tensors by name.
pub(crate) type Tensors = HashMap<String, Vec<f64>>;

/// Keys and values of the tokens so far, `[tokens, heads, head_dim]`.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    keys: Vec<f64>,
    values: Vec<f64>,
}

/// A block in one pass.
pub(crate) struct Block<'a> {
    pub(crate) form: &'a Form,
    pub(crate) weights: &'a Tensors,
    pub(crate) found: &'a Tensors,
    pub(crate) layer: usize,
    /// Position of the first token.
    pub(crate) first: usize,
    pub(crate) tokens: usize,
}

impl Form {
    pub(crate) fn norm(&self, x: &[f64], weights: &Tensors, tensor: &str) -> Vec<f64> {
        let weight = &weights[&format!("{tensor}.weight")];
        if self.layer_norm {
            return layer_norm(x, weight, &weights[&format!("{tensor}.bias")], self.epsilon);
        }
        rms_norm(x, weight, self.epsilon)
    }
}

impl<'a> Block<'a> {
    /// Every checkpoint of the block in dataflow order, computed from what was captured of its inputs and from
    /// `stream`, which enters the block.
    pub(crate) fn expected(
        &self,
        stream: &[f64],
        cache: &mut Cache,
    ) -> Vec<(&'static str, Vec<f64>)> {
        let form = self.form;
        let mut out = vec![("attn_norm", self.norm(stream, "attn_norm"))];
        out.extend(self.projections());
        if form.qk_norm {
            out.push(("q_norm", self.norm(self.at("q"), "attn_q_norm")));
            out.push(("k_norm", self.norm(self.at("k"), "attn_k_norm")));
        }
        let (mut query, mut key) = if form.qk_norm {
            ("q_norm", "k_norm")
        } else {
            ("q", "k")
        };
        if let Some((base, neighbours)) = form.rope {
            let window = form.window_of(self.layer);
            let rope = Rope {
                dim: form.head_dim,
                base: window.map_or(base, |window| window.base),
                neighbours,
                factors: form.rope_factors.map(|name| self.weights[name].as_slice()),
            };
            out.push(("q_rope", rope.turn(self.at(query), HEADS, self.first)));
            out.push(("k_rope", rope.turn(self.at(key), form.heads_kv, self.first)));
            (query, key) = ("q_rope", "k_rope");
        }
        cache.keys.extend_from_slice(self.at(key));
        cache.values.extend_from_slice(self.at("v"));
        out.extend(self.attention(query, cache));
        out.push(("attn_out", self.linear("attn_context", "attn_output")));
        let attended = self.post_norm(
            "attn_out",
            "post_attention_norm",
            "attn_post_norm",
            &mut out,
        );
        out.push(("attn_residual", sum(self.at(attended), stream)));
        out.push(("ffn_norm", self.norm(self.at("attn_residual"), "ffn_norm")));
        out.extend(self.feed_forward());
        let fed = self.post_norm("ffn_out", "post_ffw_norm", "ffn_post_norm", &mut out);
        out.push(("output", sum(self.at(fed), self.at("attn_residual"))));
        out
    }

    /// Norms `input` where the architecture does. Returns what goes on.
    fn post_norm(
        &self,
        input: &'static str,
        tensor: &str,
        point: &'static str,
        out: &mut Vec<(&'static str, Vec<f64>)>,
    ) -> &'static str {
        if !self.form.post_norms {
            return input;
        }
        out.push((point, self.norm(self.at(input), tensor)));
        point
    }

    pub(crate) fn at(&self, point: &str) -> &'a [f64] {
        &self.found[&format!("layer_{}_{point}", self.layer)]
    }

    pub(super) fn weight(&self, tensor: &str) -> &'a [f64] {
        &self.weights[&format!("blk.{}.{tensor}.weight", self.layer)]
    }

    fn bias(&self, tensor: &str) -> Option<&'a [f64]> {
        let bias = self
            .weights
            .get(&format!("blk.{}.{tensor}.bias", self.layer));
        bias.map(Vec::as_slice)
    }

    fn norm(&self, x: &[f64], tensor: &str) -> Vec<f64> {
        self.form
            .norm(x, self.weights, &format!("blk.{}.{tensor}", self.layer))
    }

    pub(super) fn linear(&self, input: &str, tensor: &str) -> Vec<f64> {
        let x = self.at(input);
        linear(
            x,
            self.weight(tensor),
            self.bias(tensor),
            x.len() / self.tokens,
        )
    }

    /// Outputs `outputs` of a projection that computes more.
    fn part(&self, input: &str, tensor: &str, outputs: std::ops::Range<usize>) -> Vec<f64> {
        let x = self.at(input);
        let inputs = x.len() / self.tokens;
        let weight = &self.weight(tensor)[outputs.start * inputs..outputs.end * inputs];
        let bias = self.bias(tensor).map(|bias| &bias[outputs]);
        linear(x, weight, bias, inputs)
    }

    fn projections(&self) -> [(&'static str, Vec<f64>); 3] {
        if !self.form.fused_qkv {
            return [("q", "attn_q"), ("k", "attn_k"), ("v", "attn_v")]
                .map(|(point, tensor)| (point, self.linear("attn_norm", tensor)));
        }
        let query = HEADS * self.form.head_dim;
        let key = query + self.form.heads_kv * self.form.head_dim;
        let value = key + self.form.heads_kv * self.form.head_dim;
        [("q", 0..query), ("k", query..key), ("v", key..value)]
            .map(|(point, outputs)| (point, self.part("attn_norm", "attn_qkv", outputs)))
    }

    fn attention(&self, query: &str, cache: &Cache) -> [(&'static str, Vec<f64>); 3] {
        let (dim, heads_kv) = (self.form.head_dim, self.form.heads_kv);
        let window = self.form.window_of(self.layer);
        let kv = self.first + self.tokens;
        let (mut scores, mut probs, mut context) = (Vec::new(), Vec::new(), Vec::new());
        for token in 0..self.tokens {
            for head in 0..HEADS {
                let row = token * HEADS + head;
                let query = &self.at(query)[row * dim..][..dim];
                // Grouped-query attention: neighbouring query heads share a key head.
                let shared = head / (HEADS / heads_kv);
                let of = |cache: &'_ [f64], position: usize, element: usize| {
                    cache[(position * heads_kv + shared) * dim + element]
                };
                let dot = |j| {
                    let products = query
                        .iter()
                        .enumerate()
                        .map(|(d, q)| q * of(&cache.keys, j, d));
                    products.sum::<f64>()
                };
                let scaled = (0..kv).map(|j| dot(j) / (dim as f64).sqrt());
                scores.extend(scaled.map(|score| capped(score, self.form.score_cap)));

                let scored = &self.at("attn_scores")[row * kv..][..kv];
                let seen = |j: usize| {
                    let own = self.first + token;
                    if j <= own && window.is_none_or(|window| own - j < window.length) {
                        scored[j].exp()
                    } else {
                        0.0
                    }
                };
                let sum: f64 = (0..kv).map(seen).sum();
                probs.extend((0..kv).map(|j| seen(j) / sum));

                let p = &self.at("attn_probs")[row * kv..][..kv];
                let mixed = |d| (0..kv).map(|j| p[j] * of(&cache.values, j, d)).sum::<f64>();
                context.extend((0..dim).map(mixed));
            }
        }
        [
            ("attn_scores", scores),
            ("attn_probs", probs),
            ("attn_context", context),
        ]
    }

    fn feed_forward(&self) -> Vec<(&'static str, Vec<f64>)> {
        if let Some(experts) = self.form.experts {
            return self.experts(experts);
        }
        let activation = self.form.activation;
        let mut out = Vec::new();
        if self.form.gated {
            if self.form.fused_gate {
                let half = self.at("ffn_act").len() / self.tokens;
                out.push(("ffn_gate", self.part("ffn_norm", "ffn_up", 0..half)));
                out.push(("ffn_up", self.part("ffn_norm", "ffn_up", half..2 * half)));
            } else {
                out.push(("ffn_gate", self.linear("ffn_norm", "ffn_gate")));
                out.push(("ffn_up", self.linear("ffn_norm", "ffn_up")));
            }
            let gated = self.at("ffn_gate").iter().zip(self.at("ffn_up"));
            let gated = gated.map(|(gate, up)| activation(*gate) * up);
            out.push(("ffn_act", gated.collect()));
        } else {
            out.push(("ffn_up", self.linear("ffn_norm", "ffn_up")));
            let activated = self.at("ffn_up").iter().map(|x| activation(*x));
            out.push(("ffn_act", activated.collect()));
        }
        out.push(("ffn_out", self.linear("ffn_act", "ffn_down")));
        out
    }
}
