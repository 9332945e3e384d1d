//! Mistakes in which lanes are rotated together, and in the order of the lanes.

use candle_core::quantized::QTensor;
use candle_core::{D, Result, Tensor};

use super::replace::{self, Built};
use super::rope_frequency::turned;
use super::{Fault, Needs};
use crate::arch::Pairing;
use crate::config::Config;
use crate::ops::{Matrix, Operations, QueryOrKey, Rotation, Slot, rotate};

const FAMILY: Fault = Fault {
    family: "rope_pairing",
    first: "layer_{L}_q_rope",
    needs: &[Needs::Rotary],
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "rope-pairing",
        summary: "turns adjacent lanes together where the weights expect halves, or the other way round",
        build: |_, _| {
            replace::rope(|_, _, x, rotation| turned(x, rotation, |c| c.pairing = other(c.pairing)))
        },
        ..FAMILY
    },
    Fault {
        name: "rope-output-layout",
        summary: "leaves the rotated lanes in the order of the other pairing: not woven back, or woven",
        build: |_, _| replace::rope(|_, _, x, rotation| relaid(&rotate(x, rotation)?, rotation)),
        ..FAMILY
    },
    Fault {
        name: "rope-direction",
        summary: "turns the other way: the sine has the wrong sign",
        build: |_, _| {
            replace::rope(|_, _, x, rotation| {
                let (cos, sin) = (rotation.cos.clone(), rotation.sin.neg()?);
                rotate(x, &with_tables(rotation, cos, sin))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-keys-forgotten",
        summary: "rotates queries but not keys",
        first: "layer_{L}_k_rope",
        build: |_, _| {
            replace::rope(|_, which, x, rotation| match which {
                QueryOrKey::Query => rotate(x, rotation),
                QueryOrKey::Key => Ok(x.clone()),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "qk-rows-unshuffled",
        summary: "takes the rows of Q and K in half-split order, not reordered for adjacent pairs",
        first: "layer_{L}_q",
        by_token: false,
        needs: &[Needs::AdjacentPairs, Needs::Tensor("attn_q.weight")],
        build: |_, config| shuffled(config, &["attn_q.weight", "attn_k.weight"]),
        ..FAMILY
    },
    Fault {
        name: "k-rows-query-heads",
        summary: "reorders the rows of K as if there were as many key heads as query heads",
        first: "layer_{L}_k",
        by_token: false,
        needs: &[
            Needs::AdjacentPairs,
            Needs::GroupedHeads,
            Needs::Tensor("attn_k.weight"),
        ],
        build: |_, config| {
            let (query, key) = (config.heads, config.kv_heads);
            on_rows(&["attn_k.weight"], move |rows| {
                woven(&unwoven(rows, key)?, query)
            })
        },
        ..FAMILY
    },
];

fn other(pairing: Pairing) -> Pairing {
    match pairing {
        Pairing::Adjacent => Pairing::HalfSplit,
        Pairing::HalfSplit => Pairing::Adjacent,
    }
}

/// The same rotation with other tables.
pub(super) fn with_tables(rotation: &Rotation, cos: Tensor, sin: Tensor) -> Rotation {
    Rotation {
        config: rotation.config.clone(),
        positions: rotation.positions.clone(),
        cos,
        sin,
    }
}

/// The rotated lanes, read in the other pairing's order.
fn relaid(x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
    let (tokens, heads, lanes) = x.dims3()?;
    let dims = rotation.config.dims;
    let shape = match rotation.config.pairing {
        Pairing::Adjacent => (tokens, heads, dims / 2, 2),
        Pairing::HalfSplit => (tokens, heads, 2, dims / 2),
    };
    let relaid = x
        .narrow(D::Minus1, 0, dims)?
        .reshape(shape)?
        .transpose(2, 3)?
        .reshape((tokens, heads, dims))?;
    Tensor::cat(
        &[&relaid, &x.narrow(D::Minus1, dims, lanes - dims)?],
        D::Minus1,
    )
}

/// Rows of each head in half-split order, where they are in the order of adjacent pairs.
fn unwoven(rows: &Tensor, heads: usize) -> Result<Tensor> {
    regrouped(rows, heads, |lanes| (lanes / 2, 2))
}

/// Rows of each head in the order of adjacent pairs, where they are in half-split order.
fn woven(rows: &Tensor, heads: usize) -> Result<Tensor> {
    regrouped(rows, heads, |lanes| (2, lanes / 2))
}

fn regrouped(rows: &Tensor, heads: usize, cut: impl Fn(usize) -> (usize, usize)) -> Result<Tensor> {
    let (count, columns) = rows.dims2()?;
    let (a, b) = cut(count / heads);
    let regrouped = rows.reshape((heads, a, b, columns))?.transpose(1, 2)?;
    regrouped.reshape((count, columns))
}

fn shuffled(config: &Config, names: &'static [&'static str]) -> Built {
    let (heads, kv_heads) = (config.heads, config.kv_heads);
    let heads_of = move |slot: &str| {
        if slot.starts_with("attn_q") {
            heads
        } else {
            kv_heads
        }
    };
    replace::matrix(move |slot, stored| {
        if !names.contains(&slot.name) {
            return Ok(Matrix::Stored(stored));
        }
        let rows = stored.dequantize(&stored.device())?;
        unwoven(&rows, heads_of(slot.name)).map(Matrix::Dense)
    })
}

/// Operations that change the matrices of these names.
pub(super) fn on_rows(
    names: &'static [&'static str],
    change: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Built {
    struct Changed<F>(&'static [&'static str], F);

    impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> Operations for Changed<F> {
        fn matrix(&self, slot: Slot<'_>, stored: QTensor) -> Result<Matrix> {
            if !self.0.contains(&slot.name) {
                return Ok(Matrix::Stored(stored));
            }
            let dense = stored.dequantize(&stored.device())?;
            (self.1)(&dense)?.contiguous().map(Matrix::Dense)
        }
    }

    Ok(Box::new(Changed(names, change)))
}
