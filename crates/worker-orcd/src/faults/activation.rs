//! Mistakes in the feed-forward network's non-linearity.

use candle_core::{Result, Tensor};

use super::{Fault, Needs};
use crate::arch::Activation;
use crate::ops::{At, Operations, activate};

pub(super) const FAULTS: &[Fault] = &[Fault {
    name: "gelu-for-silu",
    family: "activation",
    summary: "gates with GELU (tanh form) where the model has SiLU",
    first: "layer_{L}_ffn_act",
    phase: "prefill",
    params: &[],
    by_token: true,
    needs: Needs::Nothing,
    build: |_, _| Ok(Box::new(Gelu)),
}];

struct Gelu;

impl Operations for Gelu {
    fn activate(
        &self,
        _at: At,
        _activation: Activation,
        gate: &Tensor,
        up: Option<&Tensor>,
    ) -> Result<Tensor> {
        activate(Activation::Gelu, gate, up)
    }
}
