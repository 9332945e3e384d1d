//! Mistakes in the loader: which tensor, in which layout, under which head.

use candle_core::{Result, Tensor};

use super::replace::{self, Built};
use super::rope_pairing::on_rows;
use super::{Fault, Needs, Param};
use crate::error::Error;
use crate::ops::{At, Matrix, Operations, Slot, context, scores, split};

const FAMILY: Fault = Fault {
    family: "weight_layout",
    by_token: false,
    ..Fault::BASE
};

const FUSED: Fault = Fault {
    first: "layer_{L}_q",
    by_token: true,
    needs: &[Needs::Tensor("attn_qkv.weight")],
    ..FAMILY
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "transposed-weight",
        summary: "reads a square matrix of attention by columns",
        first: "layer_{L}_q",
        params: &[Param {
            name: "tensor",
            default: "attn_q",
        }],
        needs: &[Needs::SquareAttention, Needs::Tensor("attn_q.weight")],
        build: |params, _| {
            let tensor: String = params.get("tensor")?.unwrap_or_else(|| "attn_q".to_owned());
            if !["attn_q", "attn_output"].contains(&tensor.as_str()) {
                return Err(Error::Fault(format!(
                    "fault `transposed-weight`: `tensor={tensor}` is not square; use attn_q or attn_output"
                )));
            }
            let name = format!("{tensor}.weight");
            replace::matrix(move |slot, stored| {
                if slot.name != name {
                    return Ok(Matrix::Stored(stored));
                }
                let dense = stored.dequantize(&stored.device())?;
                Ok(Matrix::Dense(dense.t()?.contiguous()?))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "reshaped-weight",
        summary: "reads a matrix by columns without moving its elements: reshapes where it should transpose",
        first: "layer_{L}_ffn_up",
        build: |_, _| {
            on_rows(&["ffn_up.weight"], |w| {
                let (rows, columns) = w.dims2()?;
                w.reshape((columns, rows))?.t()
            })
        },
        ..FAMILY
    },
    Fault {
        name: "swapped-gate-up",
        summary: "takes the gate's matrix for the up projection's and the other way round",
        first: "layer_{L}_ffn_gate",
        needs: &[Needs::Tensor("ffn_gate.weight")],
        build: |_, _| exchanged("ffn_gate.weight", "ffn_up.weight"),
        ..FAMILY
    },
    Fault {
        name: "swapped-key-value",
        summary: "takes the keys' matrix for the values' and the other way round",
        first: "layer_{L}_k",
        needs: &[Needs::Tensor("attn_k.weight")],
        build: |_, _| exchanged("attn_k.weight", "attn_v.weight"),
        ..FAMILY
    },
    Fault {
        name: "neighbours-weight",
        summary: "loads the query matrix of the next layer",
        first: "layer_{L}_q",
        needs: &[Needs::SeveralLayers, Needs::Tensor("attn_q.weight")],
        build: |_, config| {
            let layers = config.layers;
            replace::source(move |slot| match (slot.name, slot.layer) {
                ("attn_q.weight", Some(layer)) => Slot {
                    layer: Some((layer + 1) % layers),
                    ..slot
                }
                .full_name(),
                _ => slot.full_name(),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "output-tied",
        summary: "multiplies with the embedding table though the model has an output matrix of its own",
        first: "logits",
        needs: &[Needs::Outside("output.weight")],
        build: |_, _| {
            replace::source(|slot| match slot.name {
                "output.weight" => "token_embd.weight".to_owned(),
                _ => slot.full_name(),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "weight-zero",
        summary: "leaves the matrix of the up projection at zero",
        first: "layer_{L}_ffn_up",
        build: |_, _| on_rows(&["ffn_up.weight"], Tensor::zeros_like),
        ..FAMILY
    },
    Fault {
        name: "weight-not-loaded",
        summary: "leaves the matrix of attention's output at its random initial values",
        first: "layer_{L}_attn_out",
        build: |_, _| on_rows(&["attn_output.weight"], initial),
        ..FAMILY
    },
    Fault {
        name: "gqa-tiling",
        summary: "repeats the key heads as a whole (0 1 2 0 1 2) instead of each in turn (0 0 1 1 2 2)",
        first: "layer_{L}_attn_scores",
        by_token: true,
        needs: &[Needs::GroupedHeads],
        build: |_, _| Ok(Box::new(Tiled)),
        ..FAMILY
    },
    Fault {
        name: "attn-out-head-order",
        summary: "takes the columns of the output projection for heads in the order of their place in the group",
        first: "layer_{L}_attn_out",
        needs: &[Needs::GroupedHeads],
        build: |_, config| {
            let (groups, dim) = (config.kv_heads, config.head_dim);
            let each = config.heads / groups;
            on_rows(&["attn_output.weight"], move |w| {
                let (rows, columns) = w.dims2()?;
                let heads = w.reshape((rows, groups, each, dim))?.transpose(1, 2)?;
                heads.reshape((rows, columns))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "fused-qkv-woven",
        summary: "cuts the fused projection head by head (q k v, q k v, …) instead of into three parts",
        build: |_, _| {
            replace::split(|_, fused, heads| {
                // Each key head with the query heads that share it, as such layouts have it.
                let each = heads.query / heads.key;
                let groups = fused.reshape((fused.dim(0)?, heads.key, each + 2, heads.dim))?;
                let part = |from, count| groups.narrow(2, from, count)?.flatten_from(1);
                Ok([part(0, each)?, part(each, 1)?, part(each + 1, 1)?])
            })
        },
        ..FUSED
    },
    Fault {
        name: "fused-qkv-order",
        summary: "takes the parts of the fused projection in the order q, v, k",
        first: "layer_{L}_k",
        build: |_, _| {
            replace::split(|_, fused, heads| {
                let [q, k, v] = split(fused, heads)?;
                Ok([q, v, k])
            })
        },
        ..FUSED
    },
];

fn exchanged(a: &'static str, b: &'static str) -> Built {
    replace::source(move |slot| {
        let name = match slot.name {
            name if name == a => b,
            name if name == b => a,
            other => other,
        };
        Slot { name, ..slot }.full_name()
    })
}

/// Uniform numbers of a usual initialisation, from a linear congruential generator with Knuth's MMIX constants.
fn initial(like: &Tensor) -> Result<Tensor> {
    let width = (1.0 / like.dim(1)? as f32).sqrt();
    let mut state = 1_u64;
    let values: Vec<f32> = (0..like.elem_count())
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 40) as f32 / (1_u64 << 24) as f32;
            (2.0 * unit - 1.0) * width
        })
        .collect();
    Tensor::from_vec(values, like.shape(), like.device())
}

struct Tiled;

/// The key heads repeated as a whole until there is one for each query head.
fn tiled(x: &Tensor, heads: usize) -> Result<Tensor> {
    let copies: Vec<&Tensor> = std::iter::repeat_n(x, heads / x.dim(1)?).collect();
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
