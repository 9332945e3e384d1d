//! Mistakes in the rotary embedding.

use candle_core::{Result, Tensor};

use super::{Fault, Needs, Param};
use crate::arch::Pairing;
use crate::config::RopeConfig;
use crate::ops::{At, Operations, QueryOrKey, Rotation, rotate};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "rope-pairing",
        family: "rope_pairing",
        summary: "turns adjacent lanes together where the weights expect halves, or the other way round",
        first: "layer_{L}_q_rope",
        phase: "prefill",
        params: &[],
        by_token: true,
        needs: Needs::Nothing,
        build: |_, _| Ok(Box::new(OtherPairing)),
    },
    Fault {
        name: "rope-base",
        family: "rope_frequency",
        summary: "computes the frequencies from another base than the model's",
        first: "layer_{L}_q_rope",
        phase: "prefill",
        params: &[Param {
            name: "base",
            default: "10000, or 500000 where the model has that",
        }],
        by_token: true,
        needs: Needs::Nothing,
        build: |params, config| {
            let base = config.rope.as_ref().map(|rope| rope.base);
            let usual = if base == Some(10000.0) {
                500000.0
            } else {
                10000.0
            };
            Ok(Box::new(OtherBase(params.get("base")?.unwrap_or(usual))))
        },
    },
    Fault {
        name: "rope-position-offset",
        family: "rope_positions_axes",
        summary: "counts positions from another origin; scores stay right, since both sides are shifted",
        first: "layer_{L}_q_rope",
        phase: "prefill",
        params: &[Param {
            name: "offset",
            default: "1",
        }],
        by_token: true,
        needs: Needs::Nothing,
        build: |params, _| Ok(Box::new(PositionOffset(params.get("offset")?.unwrap_or(1)))),
    },
];

struct OtherPairing;

impl Operations for OtherPairing {
    fn rope(&self, _at: At, _which: QueryOrKey, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        let pairing = match rotation.config.pairing {
            Pairing::Adjacent => Pairing::HalfSplit,
            Pairing::HalfSplit => Pairing::Adjacent,
        };
        let config = RopeConfig {
            pairing,
            ..rotation.config.clone()
        };
        rotate(x, &Rotation::new(&config, &rotation.positions)?)
    }
}

struct OtherBase(f32);

impl Operations for OtherBase {
    fn rope(&self, _at: At, _which: QueryOrKey, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        let config = RopeConfig {
            base: self.0,
            ..rotation.config.clone()
        };
        rotate(x, &Rotation::new(&config, &rotation.positions)?)
    }
}

struct PositionOffset(usize);

impl Operations for PositionOffset {
    fn rope(&self, _at: At, _which: QueryOrKey, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        let shifted: Vec<usize> = rotation
            .positions
            .iter()
            .map(|position| position + self.0)
            .collect();
        rotate(x, &Rotation::new(&rotation.config, &shifted)?)
    }
}
