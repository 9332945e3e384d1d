//! Correct operations everywhere but where a fault is planted.

use candle_core::quantized::QTensor;
use candle_core::{Result, Tensor};

use super::FaultSpec;
use crate::arch::Activation;
use crate::config::Config;
use crate::error::{self, Error};
use crate::gguf::GgufFile;
use crate::model::LayerCache;
use crate::ops::{
    At, Branch, Correct, Heads, Linear, Matrix, Norm, Operations, Projection, QueryOrKey, Rotation,
    Slot, Which,
};

/// The operations of an engine with at most one planted fault.
#[derive(Default)]
pub struct Planted {
    active: Option<Active>,
}

struct Active {
    faulty: Box<dyn Operations>,
    layer: Option<usize>,
    token: Option<usize>,
}

impl Planted {
    /// Plants `spec` in the model of `file`.
    ///
    /// # Errors
    ///
    /// When the model has no such layer or lacks what the fault needs.
    pub fn new(spec: &FaultSpec, file: &mut GgufFile) -> error::Result<Self> {
        let config = Config::read(file)?;
        let (name, layers) = (spec.fault.name, config.layers);
        if let Some(layer) = spec.layer.filter(|layer| *layer >= layers) {
            return Err(Error::Fault(format!(
                "fault `{name}`: no layer {layer}, the model has {layers} (0 to {})",
                layers - 1
            )));
        }
        spec.fault.check(&config, file)?;
        let faulty = (spec.fault.build)(&spec.params, &config)?;
        Ok(Self {
            active: Some(Active {
                faulty,
                layer: spec.layer,
                token: spec.token,
            }),
        })
    }

    /// The fault, where it is planted in `layer`.
    fn in_layer(&self, layer: Option<usize>) -> Option<&Active> {
        self.active
            .as_ref()
            .filter(|active| active.layer.is_none() || active.layer == layer)
    }

    fn loading(&self, slot: Slot<'_>) -> &dyn Operations {
        self.in_layer(slot.layer)
            .map_or(&Correct, |active| &*active.faulty)
    }

    /// Runs an operation, faulty where it should be; tokens are axis `axis` of its result.
    fn run(
        &self,
        at: At,
        axis: usize,
        operation: impl Fn(&dyn Operations) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let Some(active) = self.in_layer(at.layer) else {
            return operation(&Correct);
        };
        let faulty = operation(&*active.faulty)?;
        let Some(token) = active.token else {
            return Ok(faulty);
        };
        let correct = operation(&Correct)?;
        match row_of(token, at) {
            Some(row) => with_row(&correct, &faulty, axis, row),
            None => Ok(correct),
        }
    }
}

/// The row of an absolute position, if it is in this pass.
fn row_of(token: usize, at: At) -> Option<usize> {
    token.checked_sub(at.first).filter(|row| *row < at.rows)
}

/// `correct` with one slice of `faulty` along `axis`.
fn with_row(correct: &Tensor, faulty: &Tensor, axis: usize, row: usize) -> Result<Tensor> {
    let rows = correct.dim(axis)?;
    let mut parts = Vec::with_capacity(3);
    if row > 0 {
        parts.push(correct.narrow(axis, 0, row)?);
    }
    parts.push(faulty.narrow(axis, row, 1)?);
    if row + 1 < rows {
        parts.push(correct.narrow(axis, row + 1, rows - row - 1)?);
    }
    Tensor::cat(&parts, axis)
}

impl Operations for Planted {
    fn source(&self, slot: Slot<'_>) -> String {
        self.loading(slot).source(slot)
    }

    fn matrix(&self, slot: Slot<'_>, stored: QTensor) -> Result<Matrix> {
        self.loading(slot).matrix(slot, stored)
    }

    fn vector(&self, slot: Slot<'_>, vector: Tensor) -> Result<Option<Tensor>> {
        self.loading(slot).vector(slot, vector)
    }

    fn embed(&self, at: At, table: &Tensor, ids: &Tensor) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.embed(at, table, ids))
    }

    fn embed_positions(&self, at: At, table: &Tensor, x: &Tensor) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.embed_positions(at, table, x))
    }

    fn norm(&self, at: At, which: Which, x: &Tensor, norm: &Norm) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.norm(at, which, x, norm))
    }

    fn project(&self, at: At, which: Projection, x: &Tensor, linear: &Linear) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.project(at, which, x, linear))
    }

    fn split(&self, at: At, fused: &Tensor, heads: Heads) -> Result<[Tensor; 3]> {
        let part = |index: usize| {
            self.run(at, 0, |ops| {
                let mut parts = ops.split(at, fused, heads)?.into_iter();
                parts.nth(index).ok_or(candle_core::Error::Msg(
                    "queries, keys and values are three".to_owned(),
                ))
            })
        };
        Ok([part(0)?, part(1)?, part(2)?])
    }

    fn rope(&self, at: At, which: QueryOrKey, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.rope(at, which, x, rotation))
    }

    fn remember(
        &self,
        at: At,
        cache: &mut LayerCache,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        // A cache changes for good, so the faulty way is taken only in the pass that holds the token.
        match self.in_layer(at.layer) {
            Some(active) if active.token.is_none_or(|token| row_of(token, at).is_some()) => {
                active.faulty.remember(at, cache, k, v)
            }
            _ => Correct.remember(at, cache, k, v),
        }
    }

    fn scores(&self, at: At, q: &Tensor, keys: &Tensor) -> Result<Tensor> {
        self.run(at, 1, |ops| ops.scores(at, q, keys))
    }

    fn mask(&self, at: At, kv: usize) -> Result<Option<Tensor>> {
        let Some(active) = self.in_layer(at.layer) else {
            return Correct.mask(at, kv);
        };
        match active.token {
            None => active.faulty.mask(at, kv),
            // A mask for one row only exists as a tensor, even where the correct one needs none.
            Some(token) => match (row_of(token, at), active.faulty.mask(at, kv)?) {
                (Some(row), Some(faulty)) => {
                    let correct = crate::ops::causal_mask(at.first, at.rows, kv)?;
                    with_row(&correct, &faulty, 0, row).map(Some)
                }
                _ => Correct.mask(at, kv),
            },
        }
    }

    fn softmax(&self, at: At, scores: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        self.run(at, 1, |ops| ops.softmax(at, scores, mask))
    }

    fn context(&self, at: At, probs: &Tensor, values: &Tensor) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.context(at, probs, values))
    }

    fn activate(
        &self,
        at: At,
        activation: Activation,
        gate: &Tensor,
        up: Option<&Tensor>,
    ) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.activate(at, activation, gate, up))
    }

    fn residual(&self, at: At, branch: Branch, stream: &Tensor, added: &Tensor) -> Result<Tensor> {
        self.run(at, 0, |ops| ops.residual(at, branch, stream, added))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn one_row_of_an_axis_is_replaced() {
        let tensor = |values: [[f32; 3]; 2]| Tensor::new(&values, &Device::Cpu).unwrap();
        let (right, wrong) = (
            tensor([[1., 2., 3.], [4., 5., 6.]]),
            tensor([[-1., -2., -3.], [-4., -5., -6.]]),
        );
        let mixed = |axis, row| {
            with_row(&right, &wrong, axis, row)
                .unwrap()
                .to_vec2::<f32>()
                .unwrap()
        };
        assert_eq!(mixed(0, 0), [[-1., -2., -3.], [4., 5., 6.]]);
        assert_eq!(mixed(0, 1), [[1., 2., 3.], [-4., -5., -6.]]);
        assert_eq!(mixed(1, 1), [[1., -2., 3.], [4., -5., 6.]]);
    }

    #[test]
    fn a_position_is_in_the_pass_or_not() {
        let at = At {
            layer: None,
            first: 4,
            rows: 3,
            step: 1,
        };
        assert_eq!(
            [3, 4, 6, 7].map(|token| row_of(token, at)),
            [None, Some(0), Some(2), None]
        );
    }
}
