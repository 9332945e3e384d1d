//! Mistakes in the positions that tokens are given.

use candle_core::{Result, Tensor};

use super::replace;
use super::{Fault, Needs, Param};
use crate::ops::{Rotation, rotate};

const FAMILY: Fault = Fault {
    family: "rope_positions_axes",
    first: "layer_{L}_q_rope",
    needs: &[Needs::Rotary],
    ..Fault::BASE
};

const LEARNED: Fault = Fault {
    first: "embedding",
    needs: &[Needs::LearnedPositions],
    ..FAMILY
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "rope-position-offset",
        summary: "counts positions from another origin (before the first all are 0); scores stay right, since both sides are shifted",
        params: &[Param {
            name: "offset",
            default: "1",
        }],
        build: |params, _| {
            let offset: isize = params.get("offset")?.unwrap_or(1);
            replace::rope(move |_, _, x, rotation| {
                placed(x, rotation, |position| {
                    position.saturating_add_signed(offset)
                })
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-position-restart",
        summary: "counts positions from 0 in every pass: uses the row's number, not its position",
        phase: "decode",
        build: |_, _| {
            replace::rope(|at, _, x, rotation| {
                placed(x, rotation, |position| position.saturating_sub(at.first))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-position-frozen",
        summary: "gives every row of a pass the position of its first",
        build: |_, _| replace::rope(|at, _, x, rotation| placed(x, rotation, |_| at.first)),
        ..FAMILY
    },
    Fault {
        name: "rope-head-axis",
        summary: "rotates by the number of the head instead of the position of the token",
        build: |_, _| {
            replace::rope(|_, _, x, rotation| {
                let heads: Vec<usize> = (0..x.dim(1)?).collect();
                let by_head = rotation.at(&heads)?;
                rotate(&x.transpose(0, 1)?.contiguous()?, &by_head)?.transpose(0, 1)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "rope-missing",
        summary: "does not rotate: takes the layer for one without positions",
        build: |_, _| replace::rope(|_, _, x, _| Ok(x.clone())),
        ..FAMILY
    },
    Fault {
        name: "rope-twice",
        summary: "rotates what is rotated already",
        build: |_, _| replace::rope(|_, _, x, rotation| rotate(&rotate(x, rotation)?, rotation)),
        ..FAMILY
    },
    Fault {
        name: "learned-position-offset",
        summary: "takes learned positions from further down their table, as after a padding entry",
        params: &[Param {
            name: "offset",
            default: "2",
        }],
        build: |params, _| {
            let offset: usize = params.get("offset")?.unwrap_or(2);
            replace::embed_positions(move |at, table, x| {
                x + table.narrow(0, at.first + offset, at.rows)?
            })
        },
        ..LEARNED
    },
    Fault {
        name: "learned-position-restart",
        summary: "takes learned positions from the start of their table in every pass",
        phase: "decode",
        build: |_, _| replace::embed_positions(|at, table, x| x + table.narrow(0, 0, at.rows)?),
        ..LEARNED
    },
];

/// Rotates as if tokens stood elsewhere.
pub(super) fn placed(
    x: &Tensor,
    rotation: &Rotation,
    place: impl Fn(usize) -> usize,
) -> Result<Tensor> {
    let places: Vec<usize> = rotation.positions.iter().map(|p| place(*p)).collect();
    rotate(x, &rotation.at(&places)?)
}
