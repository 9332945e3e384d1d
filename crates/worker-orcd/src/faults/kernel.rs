//! Mistakes of kernels: strides, launch grids, buffers of another step.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{D, Result, Tensor};

use super::replace;
use super::{Fault, Needs, Param};
use crate::ops::{At, Projection, Which, context, norm as correct, rotate, scores};

const FAMILY: Fault = Fault {
    family: "kernel_stride_graph",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "query-stride",
        summary: "reads queries as [heads, tokens, lanes] though they are [tokens, heads, lanes]",
        first: "layer_{L}_attn_scores",
        build: |_, _| {
            replace::scores(|_, q, keys| {
                let (tokens, heads, lanes) = q.dims3()?;
                let q = q.contiguous()?.reshape((heads, tokens, lanes))?;
                let q = q.transpose(0, 1)?.contiguous()?;
                scores(&q, keys, 1.0 / (lanes as f64).sqrt())
            })
        },
        ..FAMILY
    },
    Fault {
        name: "context-stride",
        summary: "hands the context on in the order [heads, tokens, lanes]",
        first: "layer_{L}_attn_context",
        build: |_, _| {
            replace::context(|_, probs, values| {
                let context = context(probs, values)?;
                let shape = context.shape().clone();
                context.transpose(0, 1)?.contiguous()?.reshape(shape)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-first-row-only",
        summary: "starts the rotation for the first row of a pass only; the others stay zero",
        first: "layer_{L}_q_rope",
        needs: &[Needs::Rotary],
        build: |_, _| replace::rope(|_, _, x, rotation| first_row(&rotate(x, rotation)?)),
        ..FAMILY
    },
    Fault {
        name: "bias-first-row-only",
        summary: "adds the query's bias to the first row of a pass only",
        first: "layer_{L}_q",
        needs: &[Needs::Tensor("attn_q.bias")],
        build: |_, _| {
            replace::project(|_, which, x, linear| match linear.bias() {
                Some(bias) if which == Projection::Query => {
                    let product = linear.product(x)?;
                    let biases = bias.broadcast_as(product.shape())?.contiguous()?;
                    product + first_row(&biases)?
                }
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "grid-tail-lost",
        summary: "does not compute the last outputs of the up projection, which stay zero",
        first: "layer_{L}_ffn_up",
        params: &[Param {
            name: "lost",
            default: "8",
        }],
        build: |params, _| {
            let lost: usize = params.get("lost")?.unwrap_or(8);
            replace::project(move |_, which, x, linear| {
                let product = linear.forward(x)?;
                match which {
                    Projection::Up => without_tail(&product, lost),
                    _ => Ok(product),
                }
            })
        },
        ..FAMILY
    },
    Fault {
        name: "split-sum-lost",
        summary: "leaves the last inputs of the down projection out of its sums: one part of a split sum",
        first: "layer_{L}_ffn_out",
        params: &[Param {
            name: "lost",
            default: "32",
        }],
        build: |params, _| {
            let lost: usize = params.get("lost")?.unwrap_or(32);
            replace::project(move |_, which, x, linear| match which {
                Projection::Down => linear.forward(&without_tail(x, lost)?),
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "stale-norm-buffer",
        summary: "replays a decode step with the normed stream of the step before it",
        first: "layer_{L}_attn_norm",
        phase: "decode",
        build: |_, _| {
            let stale = Stale::default();
            replace::norm(move |at, which, x, norm| match which {
                Which::Attention => stale.instead_of(at, &correct(x, norm)?),
                _ => correct(x, norm),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "projection-input-stale",
        summary: "multiplies the down projection of a decode step with the step before's activations",
        first: "layer_{L}_ffn_out",
        phase: "decode",
        build: |_, _| {
            let stale = Stale::default();
            replace::project(move |at, which, x, linear| match which {
                Projection::Down => linear.forward(&stale.instead_of(at, x)?),
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
];

/// The last row of each layer's last pass.
#[derive(Default)]
struct Stale(Mutex<HashMap<Option<usize>, Tensor>>);

impl Stale {
    /// What the layer had in the pass before, in decode steps; the prompt's own rows in the prompt.
    fn instead_of(&self, at: At, x: &Tensor) -> Result<Tensor> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rows.insert(at.layer, x.narrow(0, at.rows - 1, 1)?);
        Ok(match before {
            Some(before) if at.step > 0 && at.rows == 1 => before,
            _ => x.clone(),
        })
    }
}

/// All rows but the first zero.
fn first_row(x: &Tensor) -> Result<Tensor> {
    let rows = x.dim(0)?;
    let first = x.narrow(0, 0, 1)?;
    let others = x.narrow(0, 1, rows - 1)?.zeros_like()?;
    Tensor::cat(&[&first, &others], 0)
}

/// The last `lost` elements of each row zero.
fn without_tail(x: &Tensor, lost: usize) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    let kept = width.saturating_sub(lost);
    let head = x.narrow(D::Minus1, 0, kept)?;
    let tail = x.narrow(D::Minus1, kept, width - kept)?.zeros_like()?;
    Tensor::cat(&[&head, &tail], D::Minus1)
}
