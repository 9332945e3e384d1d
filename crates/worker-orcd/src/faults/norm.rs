//! Mistakes in norms.

use candle_core::{Result, Tensor};

use super::{Fault, Needs, Param};
use crate::ops::{At, Norm, Operations, Which, norm as correct};

pub(super) const FAULTS: &[Fault] = &[Fault {
    name: "rms-eps",
    family: "norm",
    summary: "adds another epsilon than the model's",
    first: "layer_{L}_attn_norm",
    phase: "prefill",
    params: &[Param {
        name: "eps",
        default: "1e-6, or 1e-5 where the model has that",
    }],
    by_token: true,
    needs: Needs::Nothing,
    build: |params, config| {
        let usual = if config.norm_eps == 1e-6 { 1e-5 } else { 1e-6 };
        Ok(Box::new(OtherEps(params.get("eps")?.unwrap_or(usual))))
    },
}];

struct OtherEps(f32);

impl Operations for OtherEps {
    fn norm(&self, _at: At, _which: Which, x: &Tensor, norm: &Norm) -> Result<Tensor> {
        correct(
            x,
            &Norm {
                eps: self.0,
                ..norm.clone()
            },
        )
    }
}
