//! The points of attention.

use super::block::Block;
use super::linear;
use crate::recompute::hparams::RopeScaling;
use crate::recompute::kind::{Frequencies, HeadMap, Kind, Linear, Positions, Probs, Rope, Scores};

impl Block<'_> {
    pub(super) fn projection(&self, point: &str) -> Option<Kind> {
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

    pub(super) fn rope(&self) -> Option<Kind> {
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

    pub(super) fn scores(&self) -> Kind {
        Kind::Scores(Scores {
            scale: self.hparams.score_scale(),
            scaled_queries: self.hparams.form.scaled_queries,
            cap: self.hparams.score_cap,
            heads: HeadMap::Grouped,
            cache: self.hparams.cache,
            operand: self.hparams.cache,
        })
    }

    pub(super) fn probs(&self) -> Kind {
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
