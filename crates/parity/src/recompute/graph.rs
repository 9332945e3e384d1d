//! The operation behind each canonical checkpoint.

use super::hparams::{Hparams, RopeScaling};
use super::kind::{
    Activate, Attend, Embed, ExpertLinear, ExpertWeights, Factor, Frequencies, HeadMap, Kind,
    Linear, Norm, Positions, Probs, Residual, Rope, Scores, Statistic, View,
};
use super::operation::{Input, Operation, Rows};
use std::ops::Range;

/// How a canonical checkpoint is computed in a model; `None` where the model has no such checkpoint, and for `tokens`.
///
/// # Example
///
/// `layer_3_attn_residual` is the sum of `layer_3_attn_out` (or `layer_3_attn_post_norm`) and `layer_2_output`.
pub fn operation(hparams: &Hparams, checkpoint: &str) -> Option<Operation> {
    let (layer, inputs, kind) = match checkpoint {
        "embedding" => (None, vec![own("tokens")], embed(hparams)),
        "final_norm" => {
            let norm = norm(hparams, "output_norm", hparams.embedding)?;
            (None, vec![own(stream(hparams.layers))], norm)
        }
        "logits" => {
            let head = if hparams.has("output.weight") {
                "output"
            } else {
                "token_embd"
            };
            let Kind::Linear(linear) = linear(hparams, head, None)? else {
                return None;
            };
            let kind = Kind::Linear(Linear {
                cap: hparams.logit_cap,
                ..linear
            });
            (None, vec![own("final_norm")], kind)
        }
        _ => {
            let (layer, point) = checkpoint.strip_prefix("layer_")?.split_once('_')?;
            let layer = layer.parse().ok().filter(|layer| *layer < hparams.layers)?;
            let block = Block { hparams, layer };
            let (inputs, kind) = block.operation(point)?;
            (Some(layer), inputs, kind)
        }
    };
    Some(Operation {
        checkpoint: checkpoint.to_owned(),
        layer,
        inputs,
        kind,
    })
}

fn own(checkpoint: impl Into<String>) -> Input {
    Input {
        checkpoint: checkpoint.into(),
        rows: Rows::Own,
    }
}

/// The stream that enters a block.
fn stream(layer: usize) -> String {
    match layer.checked_sub(1) {
        Some(before) => format!("layer_{before}_output"),
        None => "embedding".to_owned(),
    }
}

fn embed(hparams: &Hparams) -> Kind {
    let positions = "position_embd.weight";
    Kind::Embed(Embed {
        table: "token_embd.weight".to_owned(),
        positions: hparams.has(positions).then(|| positions.to_owned()),
        position: Positions::OWN,
        scale: if hparams.form.scaled_embedding {
            // llama.cpp keeps the root as f32.
            f64::from((hparams.embedding as f32).sqrt())
        } else {
            1.0
        },
    })
}

fn norm(hparams: &Hparams, tensor: &str, group: usize) -> Option<Kind> {
    let weight = format!("{tensor}.weight");
    let bias = format!("{tensor}.bias");
    hparams.has(&weight).then(|| {
        Kind::Norm(Norm {
            centred: hparams.form.layer_norm,
            statistic: Statistic::Mean,
            eps: hparams.norm_eps,
            eps_outside: false,
            inverted: false,
            group,
            bias: hparams.has(&bias).then_some(bias),
            weight,
            factor: Factor::Weight,
            rounded: None,
            skipped: false,
        })
    })
}

/// A product with a matrix, or with some of its rows.
fn linear(hparams: &Hparams, tensor: &str, part: Option<Range<usize>>) -> Option<Kind> {
    let weight = format!("{tensor}.weight");
    let bias = format!("{tensor}.bias");
    let info = hparams.tensors.get(&weight)?;
    // The gate of a shared expert is stored as a vector: one output.
    let stored = match info.shape.as_slice() {
        [_] => 1,
        [outputs, ..] => *outputs,
        [] => return None,
    };
    let outputs = part.as_ref().map_or(stored, |part| part.len());
    if part.as_ref().is_some_and(|part| part.end > stored) {
        return None;
    }
    Some(Kind::Linear(Linear {
        weight: View {
            rows: part.map(Iterator::collect),
            ..View::of(weight)
        },
        bias: hparams.has(&bias).then_some(bias),
        scale: 1.0,
        cap: None,
        row_shape: vec![outputs],
    }))
}

/// One block.
struct Block<'h> {
    hparams: &'h Hparams,
    layer: usize,
}

impl Block<'_> {
    fn name(&self, point: &str) -> String {
        format!("layer_{}_{point}", self.layer)
    }

    fn tensor(&self, name: &str) -> String {
        format!("blk.{}.{name}", self.layer)
    }

    fn has(&self, tensor: &str) -> bool {
        self.hparams
            .has(&format!("blk.{}.{tensor}.weight", self.layer))
    }

    fn own(&self, point: &str) -> Input {
        own(self.name(point))
    }

    fn all(&self, point: &str) -> Input {
        Input {
            checkpoint: self.name(point),
            rows: Rows::All,
        }
    }

    /// Inputs and formula of a point.
    fn operation(&self, point: &str) -> Option<(Vec<Input>, Kind)> {
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
                vec![self::own(stream(self.layer))],
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
                vec![self.own(attended), self::own(stream(self.layer))],
                sum(),
            ),
            "ffn_norm" => (own(&["attn_residual"]), self.norm("ffn_norm", h.embedding)?),
            "ffn_post_norm" => (own(&["ffn_out"]), self.norm("post_ffw_norm", h.embedding)?),
            "output" => (own(&[fed, "attn_residual"]), sum()),
            _ if self.has("ffn_gate_inp") => return self.experts(point),
            _ => return self.feed_forward(point),
        })
    }

    fn norm(&self, tensor: &str, group: usize) -> Option<Kind> {
        norm(self.hparams, &self.tensor(tensor), group)
    }

    fn linear(&self, tensor: &str) -> Option<Kind> {
        linear(self.hparams, &self.tensor(tensor), None)
    }

    /// The norm where the model has one.
    fn normed(&self, norm: &'static str, projection: &'static str) -> &'static str {
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

    fn projection(&self, point: &str) -> Option<Kind> {
        let h = self.hparams;
        let query = h.heads * h.head_dim;
        let key = query + h.kv_heads * h.head_dim;
        let value = key + h.kv_heads * h.value_dim;
        let (tensor, part, heads) = match point {
            "q" => ("attn_q", 0..query, [h.heads, h.head_dim]),
            "k" => ("attn_k", query..key, [h.kv_heads, h.head_dim]),
            _ => ("attn_v", key..value, [h.kv_heads, h.value_dim]),
        };
        let kind = if self.has("attn_qkv") {
            linear(h, &self.tensor("attn_qkv"), Some(part))
        } else {
            self.linear(tensor)
        };
        match kind? {
            Kind::Linear(linear) => Some(Kind::Linear(Linear {
                row_shape: heads.to_vec(),
                ..linear
            })),
            other => Some(other),
        }
    }

    fn rope(&self) -> Option<Kind> {
        let h = self.hparams;
        let pairing = h.form.pairing?;
        // Llama 3's divisors lie in a tensor of the file, as Phi-3's do.
        let long = h.run_context.unwrap_or(0) > h.original_context_len;
        let frequencies = match h.rope_scaling {
            RopeScaling::Factors if long => Frequencies::Tensor("rope_factors_long.weight".into()),
            RopeScaling::Factors => Frequencies::Tensor("rope_factors_short.weight".into()),
            RopeScaling::Yarn { factor, context } => {
                Frequencies::Given(yarn(h.theta_of(self.layer), h.rope_dim, factor, context))
            }
            _ if h.has("rope_freqs.weight") => Frequencies::Tensor("rope_freqs.weight".into()),
            _ => Frequencies::Plain,
        };
        let (scale, amplitude) = match h.rope_scaling {
            // Gemma 3 stretches only the blocks that see everything.
            RopeScaling::Linear { factor } if h.window_of(self.layer).is_none() => {
                (1.0 / factor, 1.0)
            }
            RopeScaling::Yarn { factor, .. } => (1.0, 1.0 + 0.1 * factor.ln()),
            _ => (1.0, 1.0),
        };
        Some(Kind::Rope(Rope {
            dims: h.rope_dim,
            theta: h.theta_of(self.layer),
            exponent: 2.0,
            pairing,
            output: pairing,
            position: Positions::Absolute { offset: 0.0, scale },
            frequencies,
            amplitude: amplitude * h.rope_amplitude,
            reversed: false,
            times: 1,
            rounded: None,
        }))
    }

    fn scores(&self) -> Kind {
        Kind::Scores(Scores {
            scale: self.hparams.score_scale(),
            scaled_queries: self.hparams.form.scaled_queries,
            cap: self.hparams.score_cap,
            heads: HeadMap::Grouped,
            cache: self.hparams.cache,
            operand: self.hparams.cache,
        })
    }

    fn probs(&self) -> Kind {
        let sinks = format!("{}.weight", self.tensor("attn_sinks"));
        Kind::Probs(Probs {
            ahead: Some(0),
            window: self.hparams.window_of(self.layer),
            scale: 1.0,
            cap: None,
            sinks: self.hparams.has(&sinks).then_some(sinks),
            hidden: Vec::new(),
        })
    }

    fn feed_forward(&self, point: &str) -> Option<(Vec<Input>, Kind)> {
        let gated = self.has("ffn_gate") || self.fused_gate();
        let kind = match point {
            "ffn_gate" if self.has("ffn_gate") => self.linear("ffn_gate")?,
            "ffn_gate" => self.half(0)?,
            "ffn_up" if self.fused_gate() => self.half(1)?,
            "ffn_up" => self.linear("ffn_up")?,
            "ffn_act" if gated => {
                let inputs = vec![self.own("ffn_gate"), self.own("ffn_up")];
                return Some((inputs, self.activate(true)));
            }
            "ffn_act" => return Some((vec![self.own("ffn_up")], self.activate(false))),
            "ffn_out" => return Some((vec![self.own("ffn_act")], self.linear("ffn_down")?)),
            _ => return None,
        };
        Some((vec![self.own("ffn_norm")], kind))
    }

    fn activate(&self, gated: bool) -> Kind {
        Kind::Activate(Activate {
            function: self.hparams.form.activation,
            exchanged: false,
            gated,
        })
    }

    /// Gate and up are one matrix: it has twice as many outputs as the down projection has inputs.
    fn fused_gate(&self) -> bool {
        let shape = |tensor: &str| {
            let name = format!("{}.weight", self.tensor(tensor));
            self.hparams.tensors.get(&name).map(|info| &info.shape)
        };
        match (
            shape("ffn_up").map(Vec::as_slice),
            shape("ffn_down").map(Vec::as_slice),
        ) {
            (Some([outputs, _]), Some([_, inputs])) => *outputs == 2 * inputs,
            _ => false,
        }
    }

    fn half(&self, which: usize) -> Option<Kind> {
        if !self.fused_gate() {
            return None;
        }
        let name = format!("{}.weight", self.tensor("ffn_up"));
        let half = self.hparams.tensors.get(&name)?.shape.first()? / 2;
        let part = which * half..(which + 1) * half;
        linear(self.hparams, &self.tensor("ffn_up"), Some(part))
    }

    fn experts(&self, point: &str) -> Option<(Vec<Input>, Kind)> {
        let h = self.hparams;
        let own = |points: &[&str]| points.iter().map(|point| self.own(point)).collect();
        let by_expert = |tensor: &str| {
            let weight = format!("{}.weight", self.tensor(tensor));
            h.has(&weight)
                .then_some(Kind::ExpertLinear(ExpertLinear { weight }))
        };
        let shared = self.has("ffn_gate_inp_shexp");
        if point.starts_with("ffn_shared_") && !shared {
            return None;
        }
        Some(match point {
            "ffn_router" => (own(&["ffn_norm"]), self.linear("ffn_gate_inp")?),
            "ffn_router_probs" => (own(&["ffn_router"]), Kind::Softmax),
            "ffn_experts" => {
                let (_, count) = h.experts?;
                (own(&["ffn_router_probs"]), Kind::Choose { count })
            }
            "ffn_expert_weights" => (
                own(&["ffn_router_probs", "ffn_experts"]),
                Kind::ExpertWeights(ExpertWeights {
                    normalised: h.form.experts.normalised,
                    scale: h.expert_scale,
                }),
            ),
            "ffn_expert_gate" => (
                own(&["ffn_norm", "ffn_experts"]),
                by_expert("ffn_gate_exps")?,
            ),
            "ffn_expert_up" => (own(&["ffn_norm", "ffn_experts"]), by_expert("ffn_up_exps")?),
            "ffn_expert_act" => (
                own(&["ffn_expert_gate", "ffn_expert_up"]),
                self.activate(true),
            ),
            "ffn_expert_out" => (
                own(&["ffn_expert_act", "ffn_experts"]),
                by_expert("ffn_down_exps")?,
            ),
            "ffn_shared_router" => (own(&["ffn_norm"]), self.linear("ffn_gate_inp_shexp")?),
            "ffn_shared_weight" => (own(&["ffn_shared_router"]), Kind::Sigmoid),
            "ffn_shared_gate" => (own(&["ffn_norm"]), self.linear("ffn_gate_shexp")?),
            "ffn_shared_up" => (own(&["ffn_norm"]), self.linear("ffn_up_shexp")?),
            "ffn_shared_act" => (
                own(&["ffn_shared_gate", "ffn_shared_up"]),
                self.activate(true),
            ),
            "ffn_shared_out" => (own(&["ffn_shared_act"]), self.linear("ffn_down_shexp")?),
            "ffn_out" if shared => (
                own(&[
                    "ffn_expert_out",
                    "ffn_expert_weights",
                    "ffn_shared_out",
                    "ffn_shared_weight",
                ]),
                Kind::ExpertSum,
            ),
            "ffn_out" => (
                own(&["ffn_expert_out", "ffn_expert_weights"]),
                Kind::ExpertSum,
            ),
            _ => return None,
        })
    }
}

fn sum() -> Kind {
    Kind::Residual(Residual {
        factors: vec![1.0, 1.0],
    })
}

/// Divisors of YaRN: frequencies whose wave fits many times into the trained context stay, those that do not fit are
/// divided by `factor`, with a ramp between.
///
/// # Source
///
/// Peng et al. 2023, with β = 32 and 1, as in ggml's `rope_yarn`.
fn yarn(theta: f64, dims: usize, factor: f64, context: usize) -> Vec<f64> {
    let turns = |beta: f64| {
        dims as f64 * (context as f64 / (beta * 2.0 * std::f64::consts::PI)).ln()
            / (2.0 * theta.ln())
    };
    let low = turns(32.0).floor().max(0.0);
    let high = turns(1.0).ceil().min(dims as f64 - 1.0);
    let divisor = |pair: usize| {
        let ramp = 1.0 - ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        1.0 / ((1.0 - ramp) / factor + ramp)
    };
    (0..dims / 2).map(divisor).collect()
}
