//! Mistakes in how fast lanes turn, and by how much they grow.

use std::f32::consts::TAU;

use candle_core::{DType, Result, Tensor};

use super::replace;
use super::rope_pairing::with_tables;
use super::{Fault, Needs, Param};
use crate::config::RopeConfig;
use crate::ops::{Rotation, rotate};
use crate::place::Place;

const FAMILY: Fault = Fault {
    family: "rope_frequency",
    first: "layer_{L}_q_rope",
    needs: &[Needs::Rotary],
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "rope-base",
        summary: "computes the frequencies from another base than the model's",
        params: &[Param {
            name: "base",
            default: "10000, or 500000 where the model has that",
        }],
        build: |params, config| {
            let base = params.get("base")?;
            let base = base.unwrap_or_else(|| usual_base(config.rope.as_ref()));
            replace::rope(move |_, _, x, rotation| turned(x, rotation, |c| c.base = base))
        },
        ..FAMILY
    },
    Fault {
        name: "rope-base-decode",
        summary: "uses the default base 10000 (or 500000) in decode steps, the model's own in the prompt",
        phase: "decode",
        build: |_, config| {
            let base = usual_base(config.rope.as_ref());
            replace::rope(move |at, _, x, rotation| {
                turned(x, rotation, |c| {
                    if at.step > 0 {
                        c.base = base;
                    }
                })
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-exponent",
        summary: "raises the base to i/d instead of 2i/d, so that frequencies fall half as fast",
        build: |_, _| {
            replace::rope(|_, _, x, rotation| turned(x, rotation, |c| c.base = c.base.sqrt()))
        },
        ..FAMILY
    },
    Fault {
        name: "rope-linear-scaling",
        summary: "divides positions by a factor that the model does not have",
        params: &[Param {
            name: "factor",
            default: "8",
        }],
        build: |params, _| {
            let factor: f32 = params.get("factor")?.unwrap_or(8.0);
            replace::rope(move |_, _, x, rotation| turned(x, rotation, |c| c.scale /= factor))
        },
        ..FAMILY
    },
    Fault {
        name: "rope-llama3-scaling",
        summary: "slows low frequencies down as Llama 3.1 does, in a model that is not made for it",
        build: |_, _| {
            replace::rope(|_, _, x, rotation| {
                turned(x, rotation, |c| c.factors = Some(llama3_factors(c)))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-partial",
        summary: "rotates only the leading part of each head",
        params: &[Param {
            name: "fraction",
            default: "0.5",
        }],
        build: |params, _| {
            let fraction: f32 = params.get("fraction")?.unwrap_or(0.5);
            replace::rope(move |_, _, x, rotation| {
                turned(x, rotation, |c| {
                    let pairs = (c.dims / 2) as f32 * fraction;
                    c.dims = 2 * (pairs as usize).clamp(1, c.dims / 2);
                    c.factors = None;
                })
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-amplitude",
        summary: "multiplies cosine and sine with YaRN's attention factor, which the model does not have",
        params: &[Param {
            name: "factor",
            default: "1.2079 (0.1 ln 8 + 1)",
        }],
        build: |params, _| {
            let factor: f64 = params.get("factor")?.unwrap_or(1.2079);
            replace::rope(move |_, _, x, rotation| {
                let (cos, sin) = ((&rotation.cos * factor)?, (&rotation.sin * factor)?);
                rotate(x, &with_tables(rotation, cos, sin))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-bf16-tables",
        summary: "keeps cosine and sine in bf16",
        build: |_, _| {
            replace::rope(|_, _, x, rotation| {
                let rounded = |table: &Tensor| table.to_dtype(DType::BF16)?.to_dtype(DType::F32);
                let (cos, sin) = (rounded(&rotation.cos)?, rounded(&rotation.sin)?);
                rotate(x, &with_tables(rotation, cos, sin))
            })
        },
        ..FAMILY
    },
];

/// Rotates by tables that are computed from a changed configuration.
pub(super) fn turned(
    x: &Tensor,
    rotation: &Rotation,
    change: impl FnOnce(&mut RopeConfig),
) -> Result<Tensor> {
    let mut config = rotation.config.clone();
    change(&mut config);
    rotate(
        x,
        &Rotation::new(&config, &rotation.positions, &Place::of(&rotation.cos))?,
    )
}

/// A base that other models have.
fn usual_base(rope: Option<&RopeConfig>) -> f32 {
    match rope {
        Some(rope) if rope.base == 10_000.0 => 500_000.0,
        _ => 10_000.0,
    }
}

/// Divisors of the frequencies: 1 for wavelengths that pass four times through 8192 positions, 8 for those that do not
/// pass once, a blend between. Source: `rope_scaling` of Llama 3.1's configuration and Meta's `apply_scaling`.
fn llama3_factors(config: &RopeConfig) -> Vec<f32> {
    let (factor, low, high, context) = (8.0, 1.0, 4.0, 8192.0);
    (0..config.dims / 2)
        .map(|pair| {
            let wavelength = TAU * config.base.powf(2.0 * pair as f32 / config.dims as f32);
            let turns = context / wavelength;
            let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            1.0 / ((1.0 - smooth) / factor + smooth)
        })
        .collect()
}
