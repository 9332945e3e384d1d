//! What some models do to scores and logits and others do not: caps, sinks, biases by distance.

use candle_core::{D, Device, Result, Tensor};

use super::replace;
use super::{Fault, Param};
use crate::ops::{Projection, scores, softmax};

const FAMILY: Fault = Fault {
    family: "softcap_sink_bias_in_scores",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "softcap-attention",
        summary: "caps scores softly, as Gemma 2 does, in a model without",
        first: "layer_{L}_attn_scores",
        params: &[Param {
            name: "cap",
            default: "50",
        }],
        build: |params, _| {
            let cap: f64 = params.get("cap")?.unwrap_or(50.0);
            replace::scores(move |_, q, keys| {
                capped(&scores(q, keys, 1.0 / (q.dim(2)? as f64).sqrt())?, cap)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "softcap-final",
        summary: "caps logits softly, as Gemma 2 does, in a model without",
        first: "logits",
        params: &[Param {
            name: "cap",
            default: "30",
        }],
        build: |params, _| {
            let cap: f64 = params.get("cap")?.unwrap_or(30.0);
            replace::project(move |_, which, x, linear| match which {
                Projection::Logits => capped(&linear.forward(x)?, cap),
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "attention-sink",
        summary: "adds a sink to the denominator of the softmax, in a model without",
        first: "layer_{L}_attn_probs",
        params: &[Param {
            name: "logit",
            default: "0",
        }],
        build: |params, _| {
            let logit: f32 = params.get("logit")?.unwrap_or(0.0);
            replace::softmax(move |_, scores, mask| {
                let masked = match mask {
                    Some(mask) => scores.broadcast_add(mask)?,
                    None => scores.clone(),
                };
                let (heads, rows, kv) = masked.dims3()?;
                let sink = Tensor::full(logit, (heads, rows, 1), masked.device())?;
                let with_sink = Tensor::cat(&[&masked, &sink], D::Minus1)?;
                softmax(&with_sink, None)?
                    .narrow(D::Minus1, 0, kv)?
                    .contiguous()
            })
        },
        ..FAMILY
    },
    Fault {
        name: "alibi",
        summary: "lowers scores by the distance of the tokens, as ALiBi does, in a model without",
        first: "layer_{L}_attn_probs",
        build: |_, _| {
            replace::softmax(|at, scores, mask| {
                let (heads, rows, kv) = scores.dims3()?;
                softmax(
                    &(scores + alibi(heads, at.first, rows, kv, scores.device())?)?,
                    mask,
                )
            })
        },
        ..FAMILY
    },
];

/// `cap · tanh(x / cap)`. Source: Gemma Team 2024.
fn capped(x: &Tensor, cap: f64) -> Result<Tensor> {
    (x / cap)?.tanh()? * cap
}

/// `−2^(−8 (h + 1) / heads) · distance`. Source: Press et al. 2021.
fn alibi(heads: usize, first: usize, rows: usize, kv: usize, device: &Device) -> Result<Tensor> {
    let mut bias = Vec::with_capacity(heads * rows * kv);
    for head in 0..heads {
        let slope = 2f32.powf(-8.0 * (head + 1) as f32 / heads as f32);
        for row in first..first + rows {
            bias.extend((0..kv).map(|column| -slope * row.abs_diff(column) as f32));
        }
    }
    Tensor::from_vec(bias, (heads, rows, kv), device)
}
