//! Mistakes between the rotated queries and the context: head mapping, scale, mask.

use candle_core::{Device, Result, Tensor};

use super::{Fault, Needs, Param};
use crate::ops::{At, Operations, context, scores};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "gqa-tiling",
        family: "weight_layout",
        summary: "repeats the key heads as a whole (0 1 2 0 1 2) instead of each in turn (0 0 1 1 2 2)",
        first: "layer_{L}_attn_scores",
        phase: "prefill",
        params: &[],
        by_token: true,
        needs: Needs::GroupedHeads,
        build: |_, _| Ok(Box::new(Tiled)),
    },
    Fault {
        name: "missing-attn-scale",
        family: "scalar_multiplier",
        summary: "does not divide scores by the root of the head's width",
        first: "layer_{L}_attn_scores",
        phase: "prefill",
        params: &[],
        by_token: true,
        needs: Needs::Nothing,
        build: |_, _| Ok(Box::new(Unscaled)),
    },
    Fault {
        name: "causal-mask-off-by-one",
        family: "mask",
        summary: "lets each token see this many tokens after itself (before itself, if negative)",
        first: "layer_{L}_attn_probs",
        phase: "prefill",
        params: &[Param {
            name: "offset",
            default: "1",
        }],
        by_token: true,
        needs: Needs::Nothing,
        build: |params, _| Ok(Box::new(ShiftedMask(params.get("offset")?.unwrap_or(1)))),
    },
];

struct Tiled;

/// The key heads repeated as a whole until there is one for each query head.
fn tiled(x: &Tensor, heads: usize) -> Result<Tensor> {
    let kv_heads = x.dim(1)?;
    let copies: Vec<&Tensor> = std::iter::repeat_n(x, heads / kv_heads).collect();
    Tensor::cat(&copies, 1)
}

impl Operations for Tiled {
    fn scores(&self, _at: At, q: &Tensor, keys: &Tensor) -> Result<Tensor> {
        let (_, heads, head_dim) = q.dims3()?;
        scores(q, &tiled(keys, heads)?, 1.0 / (head_dim as f64).sqrt())
    }

    fn context(&self, _at: At, probs: &Tensor, values: &Tensor) -> Result<Tensor> {
        context(probs, &tiled(values, probs.dim(0)?)?)
    }
}

struct Unscaled;

impl Operations for Unscaled {
    fn scores(&self, _at: At, q: &Tensor, keys: &Tensor) -> Result<Tensor> {
        scores(q, keys, 1.0)
    }
}

struct ShiftedMask(i64);

impl Operations for ShiftedMask {
    fn mask(&self, at: At, kv: usize) -> Result<Option<Tensor>> {
        let visible = |row: usize, column: usize| {
            // The first place stays visible: a row that sees nothing would be a different mistake.
            column == 0 || column as i64 <= row as i64 + self.0
        };
        let mask: Vec<f32> = (at.first..at.first + at.rows)
            .flat_map(|row| {
                (0..kv).map(move |column| {
                    if visible(row, column) {
                        0.0
                    } else {
                        f32::NEG_INFINITY
                    }
                })
            })
            .collect();
        Tensor::from_vec(mask, (at.rows, kv), &Device::Cpu).map(Some)
    }
}
