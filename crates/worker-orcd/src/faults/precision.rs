//! Types that are too narrow, and what overflows in them.

use candle_core::{D, DType, Result, Tensor};

use super::replace::{self, Built};
use super::{Fault, Needs, Param};
use crate::ops::norm_parts::scaled;
use crate::ops::{Linear, Matrix, Projection, context, each, scores};

const FAMILY: Fault = Fault {
    family: "overflow_nan_precision",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "f16-ffn-out",
        summary: "keeps the feed-forward network's output in f16, which is infinite from 65520 on",
        first: "layer_{L}_ffn_out",
        build: |_, _| rounding_output(Projection::Down, DType::F16),
        ..FAMILY
    },
    Fault {
        name: "bf16-logits",
        summary: "keeps logits in bf16",
        first: "logits",
        build: |_, _| rounding_output(Projection::Logits, DType::BF16),
        ..FAMILY
    },
    Fault {
        name: "f16-residual",
        summary: "keeps the residual stream in f16",
        first: "layer_{L}_attn_residual",
        build: |_, _| replace::residual(|_, _, a, b| through(&(a + b)?, DType::F16)),
        ..FAMILY
    },
    Fault {
        name: "f16-scores",
        summary: "multiplies queries and keys in f16 before it divides by the root of the head's width",
        first: "layer_{L}_attn_scores",
        build: |_, _| {
            replace::scores(|_, q, keys| {
                let scale = 1.0 / (q.dim(2)? as f64).sqrt();
                through(&scores(q, keys, 1.0)?, DType::F16)? * scale
            })
        },
        ..FAMILY
    },
    Fault {
        name: "cache-offset-overflow",
        summary: "computes byte offsets into the cache in too few bits: keys from this position on score zero",
        first: "layer_{L}_attn_scores",
        params: &[Param {
            name: "limit",
            default: "4",
        }],
        build: |params, _| {
            let limit: usize = params.get("limit")?.unwrap_or(4);
            replace::scores(move |_, q, keys| {
                let scores = scores(q, keys, 1.0 / (q.dim(2)? as f64).sqrt())?;
                let (kv, limit) = (scores.dim(2)?, limit.min(scores.dim(2)?));
                scores.narrow(2, 0, limit)?.pad_with_zeros(2, 0, kv - limit)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "softmax-f16-exp",
        summary: "takes the exponential in f16 and without subtracting the maximum: infinite from a score of 11.1 on",
        first: "layer_{L}_attn_probs",
        build: |_, _| {
            replace::softmax(|_, scores, mask| {
                let masked = match mask {
                    Some(mask) => scores.broadcast_add(mask)?,
                    None => scores.clone(),
                };
                let powers = masked.to_dtype(DType::F16)?.exp()?.to_dtype(DType::F32)?;
                powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "nan-from-padding",
        summary: "multiplies zero probabilities with what happens to be behind the cache's end: NaN",
        first: "layer_{L}_attn_context",
        build: |_, _| {
            replace::context(|_, probs, values| {
                let padding = (values.narrow(0, 0, 1)? * f64::NAN)?;
                let values = Tensor::cat(&[values, &padding], 0)?;
                context(&probs.pad_with_zeros(D::Minus1, 0, 1)?, &values)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "norm-f16-squares",
        summary: "squares and sums in f16 for the norms",
        first: "layer_{L}_attn_norm",
        needs: &[Needs::RmsNorm],
        build: |_, _| {
            replace::norm(|_, _, x, norm| {
                let squares = x.to_dtype(DType::F16)?.sqr()?;
                let mean = squares.mean_keepdim(D::Minus1)?.to_dtype(DType::F32)?;
                scaled(x, &mean, norm)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "bf16-weights",
        summary: "rounds the matrices of the blocks to bf16",
        first: "layer_{L}_q",
        by_token: false,
        build: |_, _| {
            replace::matrix(|slot, stored| {
                if slot.layer.is_none() {
                    return Ok(Matrix::Stored(stored));
                }
                let dense = stored.dequantize(&stored.device())?;
                through(&dense, DType::BF16).map(Matrix::Dense)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "bf16-activations",
        summary: "rounds what is multiplied with weights to bf16",
        first: "layer_{L}_q",
        build: |_, _| replace::project(|_, _, x, linear| linear.forward(&through(x, DType::BF16)?)),
        ..FAMILY
    },
    Fault {
        name: "tf32-products",
        summary: "cuts what is multiplied with weights to the ten binary digits of TF32",
        first: "layer_{L}_q",
        build: |_, _| {
            replace::project(|_, _, x, linear| {
                // 13 of f32's 23 digits after the point are dropped.
                let cut = |x: f32| f32::from_bits(x.to_bits() & !0x1fff);
                linear.forward(&each(x, cut)?)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "product-f16-sums",
        summary: "adds up the down projection in f16, as tensor cores do that are asked to",
        first: "layer_{L}_ffn_out",
        params: &[Param {
            name: "step",
            default: "16",
        }],
        build: |params, _| {
            let step: usize = params.get("step")?.unwrap_or(16).max(1);
            replace::project(move |_, which, x, linear| match which {
                Projection::Down => f16_sums(x, linear, step),
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
];

/// Rounds to a narrower type and widens again.
fn through(x: &Tensor, dtype: DType) -> Result<Tensor> {
    x.to_dtype(dtype)?.to_dtype(DType::F32)
}

fn rounding_output(which: Projection, dtype: DType) -> Built {
    replace::project(move |_, place, x, linear| {
        let product = linear.forward(x)?;
        if place == which {
            through(&product, dtype)
        } else {
            Ok(product)
        }
    })
}

/// The product of f16 inputs, `step` of them at a time added to a sum in f16; the bias at the end.
fn f16_sums(x: &Tensor, linear: &Linear, step: usize) -> Result<Tensor> {
    let x = through(x, DType::F16)?;
    let columns = x.dim(D::Minus1)?;
    let mut sum: Option<Tensor> = None;
    for start in (0..columns).step_by(step) {
        let width = step.min(columns - start);
        let part = x.narrow(D::Minus1, start, width)?;
        let part = part.pad_with_zeros(D::Minus1, start, columns - start - width)?;
        let product = linear.product(&part)?;
        let next = match sum {
            Some(sum) => (sum + product)?,
            None => product,
        };
        sum = Some(through(&next, DType::F16)?);
    }
    let sum = sum.ok_or(candle_core::Error::Msg("a product of nothing".to_owned()))?;
    match linear.bias() {
        Some(bias) => sum.broadcast_add(bias),
        None => Ok(sum),
    }
}
