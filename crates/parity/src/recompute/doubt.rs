//! Activations that lie between two integers.
//!
//! Kernels that round activations to integers agree on which, but for those that lie within a rounding of an f32 of the middle between
//! two: there it hangs on whether a kernel divides by the step or multiplies with its inverse, and how exactly. Both are right. Which of
//! them an engine took shows in its product: the two differ by a step of one activation times a column of the matrix.

use super::evaluate::{Failure, recompute, round_to, step_of};
use super::hypothesis::Hypothesis;
use super::inputs::Inputs;
use super::kind::{Kind, Linear};
use super::operation::Operation;
use super::weights::{Arithmetic, Weights};
use crate::tensor::Dense;
use orch_log::format::Dtype;

/// How activations of one product are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Activations that share a step.
    pub(super) len: usize,
    /// Whether steps are kept in f16.
    pub(super) is_half: bool,
}

impl Step {
    /// ggml's Q8_K.
    pub(super) const LONG: Self = Self {
        len: 256,
        is_half: false,
    };
}

/// Doubts about one row that are looked into.
const DOUBTS: usize = 16;

/// How near to the middle between two numbers it is open which is taken: a few roundings of an f32 each way.
const NEAR: f64 = 1e-6;

/// What an operation gives, as [`recompute`] has it; of activations between two integers those are taken that bring a row nearer to
/// `found`, where it is further off than `enough`.
///
/// # Errors
///
/// As [`recompute`].
pub(crate) fn recompute_near(
    operation: &Operation,
    inputs: &Inputs,
    weights: &dyn Weights,
    arithmetic: Arithmetic,
    found: &Dense,
    enough: f64,
) -> Result<Dense, Failure> {
    let none = Hypothesis::none();
    let mut expected = recompute(operation, inputs, weights, arithmetic, &none)?;
    let (Some(step), [x]) = (
        step_of_operation(operation, weights, arithmetic),
        &inputs.tensors[..],
    ) else {
        return Ok(expected);
    };
    let len = expected.row_len();
    if found.data.len() != expected.data.len() || x.n_rows() != expected.n_rows() {
        return Ok(expected);
    }
    // All rows' alternatives at once: reading the matrix is most of the work.
    let mut alternatives = Dense {
        shape: vec![0, x.row_len()],
        data: Vec::new(),
    };
    let mut of_rows = Vec::new();
    for row in 0..expected.n_rows() {
        if squared(expected.row(row), found.row(row)) <= enough * enough * energy(expected.row(row))
        {
            continue;
        }
        let doubts = doubts(x.row(row), step);
        if doubts.is_empty() || doubts.len() > DOUBTS {
            continue;
        }
        for (at, value) in doubts {
            alternatives.data.extend_from_slice(x.row(row));
            let start = alternatives.data.len() - x.row_len();
            alternatives.data[start + at] = value;
            of_rows.push(row);
        }
    }
    if of_rows.is_empty() {
        return Ok(expected);
    }
    alternatives.shape[0] = of_rows.len();
    let inputs = Inputs {
        first: inputs.first,
        tokens: of_rows.len(),
        pass_first: vec![inputs.first; of_rows.len()],
        tensors: vec![alternatives],
    };
    let otherwise = recompute(operation, &inputs, weights, arithmetic, &none)?;
    let mut index = 0;
    for of_row in of_rows.chunk_by(|a, b| a == b) {
        let row = of_row[0];
        let as_computed = expected.row(row).to_vec();
        let changes: Vec<Vec<f64>> = (index..index + of_row.len())
            .map(|at| {
                otherwise
                    .row(at)
                    .iter()
                    .zip(&as_computed)
                    .map(|(a, b)| a - b)
                    .collect()
            })
            .collect();
        index += of_row.len();
        settle(
            &mut expected.data[row * len..][..len],
            found.row(row),
            changes,
        );
    }
    Ok(expected)
}

/// Makes those changes that bring a row nearer, the best first.
fn settle(row: &mut [f64], found: &[f64], mut changes: Vec<Vec<f64>>) {
    let mut error = squared(row, found);
    loop {
        let errors = changes.iter().map(|change| {
            let with = row.iter().zip(change).zip(found);
            with.map(|((x, change), found)| (x + change - found).powi(2))
                .sum::<f64>()
        });
        let best = errors.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((at, least)) = best.filter(|(_, least)| *least < error) else {
            return;
        };
        let change = changes.swap_remove(at);
        row.iter_mut()
            .zip(change)
            .for_each(|(x, change)| *x += change);
        error = least;
    }
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn energy(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum()
}

fn step_of_operation(
    operation: &Operation,
    weights: &dyn Weights,
    arithmetic: Arithmetic,
) -> Option<Step> {
    let Kind::Linear(Linear {
        weight, cap: None, ..
    }) = &operation.kind
    else {
        return None;
    };
    let info = weights.hparams().tensors.get(&weight.name)?;
    step_of(arithmetic, &info.dtype)
}

/// Elements of a row whose rounding is open, each with a value just past the middle, on either side.
fn doubts(row: &[f64], step: Step) -> Vec<(usize, f64)> {
    let mut found = Vec::new();
    for (index, block) in row.chunks(step.len).enumerate() {
        let by_size = |(_, a): &(usize, &f64), (_, b): &(usize, &f64)| a.abs().total_cmp(&b.abs());
        let Some((at, largest)) = block.iter().enumerate().max_by(by_size) else {
            continue;
        };
        if *largest == 0.0 || !largest.is_finite() {
            continue;
        }
        let size = largest.abs() / 127.0;
        let first = index * step.len;
        if step.is_half && is_between_halves(size) {
            let sides = [1.0 - 2.0 * NEAR, 1.0 + 2.0 * NEAR];
            found.extend(sides.map(|side| (first + at, largest * side)));
        }
        for (offset, x) in block.iter().enumerate() {
            let steps = x.abs() / size;
            let middle = steps.floor() + 0.5;
            if (steps - middle).abs() <= NEAR * middle {
                let sides = [1.0 - 2.0 * NEAR, 1.0 + 2.0 * NEAR];
                found.extend(
                    sides.map(|side| (first + offset, (middle * side * size).copysign(*x))),
                );
            }
        }
    }
    found
}

/// True where a number lies so near to the middle of two of f16 that it is open which is nearer.
fn is_between_halves(x: f64) -> bool {
    let side = |factor: f64| round_to(Dtype::F16, x * factor);
    side(1.0 - NEAR) != side(1.0 + NEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_middle_between_two_halves() {
        // From 1 on numbers of f16 are 2^-10 apart; the even one of two is below the first of these and above the second.
        for middle in [1.0 + 2_f64.powi(-11), 1.0 + 3.0 * 2_f64.powi(-11)] {
            for (factor, is_open) in [
                (1.0 - 3e-6, false),
                (1.0 - 0.9e-6, true),
                (1.0, true),
                (1.0 + 0.9e-6, true),
                (1.0 + 3e-6, false),
            ] {
                assert_eq!(
                    is_between_halves(middle * factor),
                    is_open,
                    "{middle} {factor}"
                );
            }
        }
        assert!(!is_between_halves(1.0));
    }
}
