//! The feed-forward half of a block.

use candle_core::{Result, Tensor};

use super::labels::FeedForwardLabels;
use crate::arch::Activation;
use crate::ops::{At, Engine, Linear, Operations, Projection};
use crate::trace::Pass;

pub(super) struct FeedForward {
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) activation: Activation,
    pub(super) labels: FeedForwardLabels,
}

impl FeedForward {
    /// `x` is the normed stream, `[tokens, embedding]`; so is the result, before the residual is added.
    pub(super) fn forward(&self, ops: &Engine, at: At, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let name = &self.labels;
        let gate = match &self.gate {
            Some(linear) => {
                let gate = ops.project(at, Projection::Gate, x, linear)?;
                pass.log(&name.gate, &gate);
                Some(gate)
            }
            None => None,
        };
        let up = ops.project(at, Projection::Up, x, &self.up)?;
        pass.log(&name.up, &up);
        let act = match &gate {
            Some(gate) => ops.activate(at, self.activation, gate, Some(&up))?,
            None => ops.activate(at, self.activation, &up, None)?,
        };
        pass.log(&name.act, &act);
        let out = ops.project(at, Projection::Down, &act, &self.down)?;
        pass.log(&name.out, &out);
        Ok(out)
    }
}
