//! Rows that are one place off, or of another step.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Tensor};

use super::Fault;
use super::replace;
use crate::ops::Projection;

const FAMILY: Fault = Fault {
    family: "tokens_alignment",
    first: "embedding",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "embedding-row-off-by-one",
        summary: "looks up the row after each token's own, as when the table lacks its first",
        build: |_, _| {
            replace::embed(|_, table, ids| {
                let last = table.dim(0)? as u32 - 1;
                let shifted: Vec<u32> = ids.to_vec1::<u32>()?;
                let shifted: Vec<u32> = shifted.into_iter().map(|id| (id + 1).min(last)).collect();
                table.index_select(&Tensor::new(shifted, ids.device())?, 0)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "token-shift",
        summary: "feeds each token of the prompt at the place after its own, the first one twice",
        build: |_, _| replace::embed(|_, table, ids| delayed(&table.index_select(ids, 0)?)),
        ..FAMILY
    },
    Fault {
        name: "token-stale",
        summary: "feeds the token of the pass before in every decode step",
        phase: "decode",
        build: |_, _| {
            let last = Mutex::new(None::<Tensor>);
            replace::embed(move |at, table, ids| {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let before = last.replace(ids.narrow(0, at.rows - 1, 1)?);
                match before {
                    Some(before) if at.step > 0 && at.rows == 1 => table.index_select(&before, 0),
                    _ => table.index_select(ids, 0),
                }
            })
        },
        ..FAMILY
    },
    Fault {
        name: "logits-row-shift",
        summary: "computes each row of the logits from the row before",
        first: "logits",
        build: |_, _| {
            replace::project(|_, which, x, linear| match which {
                Projection::Logits => linear.forward(&delayed(x)?),
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
];

/// Every row one place later; the first stays.
fn delayed(rows: &Tensor) -> Result<Tensor> {
    let count = rows.dim(0)?;
    Tensor::cat(&[&rows.narrow(0, 0, 1)?, &rows.narrow(0, 0, count - 1)?], 0)
}
