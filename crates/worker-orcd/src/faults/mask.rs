//! Mistakes in who sees whom.

use candle_core::{Device, Result, Tensor};

use super::replace::{self, Built};
use super::{Fault, Param};
use crate::ops::{At, causal_mask, softmax};

const FAMILY: Fault = Fault {
    family: "mask",
    first: "layer_{L}_attn_probs",
    ..Fault::BASE
};

const WINDOW: Param = Param {
    name: "size",
    default: "4",
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "causal-mask-off-by-one",
        summary: "lets each token see this many tokens after itself (before itself, if negative)",
        params: &[Param {
            name: "offset",
            default: "1",
        }],
        build: |params, _| {
            let offset: i64 = params.get("offset")?.unwrap_or(1);
            // The first place stays visible: a row that sees nothing would be a different mistake.
            visible(move |_, row, column| column == 0 || column as i64 <= row as i64 + offset)
        },
        ..FAMILY
    },
    Fault {
        name: "mask-missing",
        summary: "lets each token of the prompt see all others",
        build: |_, _| visible(|_, _, _| true),
        ..FAMILY
    },
    Fault {
        name: "mask-window",
        summary: "lets each token see only a window of the last ones, in a model without windows",
        params: &[WINDOW],
        build: |params, _| {
            let size: usize = params.get("size")?.unwrap_or(4);
            visible(move |_, row, column| column <= row && row - column < size)
        },
        ..FAMILY
    },
    Fault {
        name: "mask-window-decode",
        summary: "applies such a window in decode steps only",
        phase: "decode",
        params: &[WINDOW],
        build: |params, _| {
            let size: usize = params.get("size")?.unwrap_or(4);
            visible(move |at, row, column| column <= row && (at.step == 0 || row - column < size))
        },
        ..FAMILY
    },
    Fault {
        name: "mask-first-hidden",
        summary: "hides the first token from all others, as if it were padding",
        build: |_, _| visible(|_, row, column| column <= row && (column > 0 || row == 0)),
        ..FAMILY
    },
    Fault {
        name: "mask-row-restart",
        summary: "counts the mask's rows from 0 in every pass, so that a decoded token sees the first one only",
        phase: "decode",
        build: |_, _| visible(|at, row, column| column + at.first <= row),
        ..FAMILY
    },
    Fault {
        name: "mask-finite",
        summary: "lowers masked scores by a small number instead of an infinite one",
        params: &[Param {
            name: "value",
            default: "-10",
        }],
        build: |params, _| {
            let hidden: f32 = params.get("value")?.unwrap_or(-10.0);
            replace::mask(move |at, kv| mask(at, kv, hidden, |row, column| column <= row).map(Some))
        },
        ..FAMILY
    },
    Fault {
        name: "mask-after-softmax",
        summary: "zeroes masked probabilities after the softmax, so that rows no longer sum to one",
        build: |_, _| {
            replace::softmax(|at, scores, mask| {
                let probs = softmax(scores, None)?;
                if mask.is_none() {
                    return Ok(probs);
                }
                let shown = causal_mask(at.first, at.rows, scores.dim(2)?)?.exp()?;
                probs.broadcast_mul(&shown.to_device(probs.device())?)
            })
        },
        ..FAMILY
    },
];

/// A mask that shows row `r` (a position) the columns for which `sees(at, r, column)`.
fn visible(sees: impl Fn(At, usize, usize) -> bool + Send + Sync + 'static) -> Built {
    replace::mask(move |at, kv| {
        mask(at, kv, f32::NEG_INFINITY, |row, column| {
            sees(at, row, column)
        })
        .map(Some)
    })
}

fn mask(at: At, kv: usize, hidden: f32, sees: impl Fn(usize, usize) -> bool) -> Result<Tensor> {
    let mut values = Vec::with_capacity(at.rows * kv);
    for row in at.first..at.first + at.rows {
        values.extend((0..kv).map(|column| if sees(row, column) { 0.0 } else { hidden }));
    }
    Tensor::from_vec(values, (at.rows, kv), &Device::Cpu)
}
