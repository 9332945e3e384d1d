//! Mistakes with what a buffer held before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{D, Result, Tensor};

use super::Fault;
use super::replace;
use crate::ops::{At, Projection};

const FAMILY: Fault = Fault {
    family: "kernel_stride_graph",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "product-onto-scratch",
        summary: "adds the down projection to what its buffer holds, attention's output: beta = 1",
        first: "layer_{L}_ffn_out",
        build: |_, _| {
            let scratch = Buffers::default();
            replace::project(move |at, which, x, linear| {
                let product = linear.forward(x)?;
                match which {
                    Projection::AttentionOut => scratch.write(at, product),
                    Projection::Down => product + scratch.read(at, x)?,
                    _ => Ok(product),
                }
            })
        },
        ..FAMILY
    },
    Fault {
        name: "product-onto-last-pass",
        summary: "adds attention's output projection to what the pass before left in its buffer: beta = 1",
        first: "layer_{L}_attn_out",
        phase: "decode",
        build: |_, _| {
            let buffers = Buffers::default();
            replace::project(move |at, which, x, linear| {
                let product = linear.forward(x)?;
                match which {
                    Projection::AttentionOut => {
                        let left = buffers.read(at, &product)?;
                        buffers.write(at, (product + left)?)
                    }
                    _ => Ok(product),
                }
            })
        },
        ..FAMILY
    },
    Fault {
        name: "product-not-launched",
        summary: "does not compute the down projection: its buffer still holds attention's output",
        first: "layer_{L}_ffn_out",
        build: |_, _| {
            let scratch = Buffers::default();
            replace::project(move |at, which, x, linear| match which {
                Projection::AttentionOut => scratch.write(at, linear.forward(x)?),
                Projection::Down => scratch.read(at, x),
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "product-read-early",
        summary: "reads the up projection of a decode step when half of it is still the step before's",
        first: "layer_{L}_ffn_up",
        phase: "decode",
        build: |_, _| {
            let buffers = Buffers::default();
            replace::project(move |at, which, x, linear| {
                let product = linear.forward(x)?;
                if which != Projection::Up {
                    return Ok(product);
                }
                let left = buffers.read(at, &product)?;
                buffers.write(at, product.clone())?;
                if at.step == 0 {
                    return Ok(product);
                }
                let width = product.dim(D::Minus1)?;
                let written = product.narrow(D::Minus1, 0, width / 2)?;
                let rest = left.narrow(D::Minus1, width / 2, width - width / 2)?;
                Tensor::cat(&[&written, &rest], D::Minus1)
            })
        },
        ..FAMILY
    },
];

/// A buffer for each layer, of as many rows as were ever written.
#[derive(Default)]
struct Buffers(Mutex<HashMap<Option<usize>, Tensor>>);

impl Buffers {
    /// Writes the first rows, and gives back what was written.
    fn write(&self, at: At, rows: Tensor) -> Result<Tensor> {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = rows.dim(0)?;
        let longer = match buffers.get(&at.layer) {
            Some(before) if before.dim(0)? > count => {
                let rest = before.narrow(0, count, before.dim(0)? - count)?;
                Tensor::cat(&[&rows, &rest], 0)?
            }
            _ => rows.clone(),
        };
        buffers.insert(at.layer, longer);
        Ok(rows)
    }

    /// The pass's rows; zero, as a new buffer is, where none were written. `like` has as many columns where it matters.
    fn read(&self, at: At, like: &Tensor) -> Result<Tensor> {
        let buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = buffers.get(&at.layer) else {
            return like.zeros_like();
        };
        let there = before.dim(0)?.min(at.rows);
        let kept = before.narrow(0, 0, there)?;
        if there == at.rows {
            return Ok(kept);
        }
        let missing = Tensor::zeros(
            (at.rows - there, before.dim(1)?),
            before.dtype(),
            before.device(),
        )?;
        Tensor::cat(&[&kept, &missing], 0)
    }
}
