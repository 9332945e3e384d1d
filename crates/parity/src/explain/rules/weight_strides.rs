//! For P021: rows of a matrix, or of a batch, that are taken to lie further apart than they do.

use crate::explain::formula::linear::Linear;
use crate::explain::numbers::residual;
use crate::explain::{Basis, Fit, Scene};
use crate::tensor::Dense;
use std::collections::BTreeSet;
use std::ops::Range;

/// Most distances that are tried: each is a product.
const TRIED: usize = 16;

/// Hypotheses about the leading dimensions of a product. Rows that would lie outside the matrix, or the batch, are not
/// compared: what lies there is not known.
pub(super) fn test(scene: &Scene<'_>, linear: &Linear<'_>) -> Vec<Fit> {
    let (rows, columns) = (linear.matrix.rows.len(), linear.matrix.columns());
    let tokens = scene.candidate.shape[0];
    let mut fits = Vec::new();
    for step in distances(linear, columns) {
        let inside = |count: usize| {
            (0..count).take_while(move |row| row * step + columns <= count * columns)
        };
        let known = inside(rows).count();
        if known >= rows.div_ceil(4) && looks_so(scene, linear, [step, columns], known, 0..tokens) {
            let made = linear.with_weights(&|row, column| match row {
                row if row < known => linear.flat_weight(row * step + column),
                _ => 0.0,
            });
            let claim = format!(
                "`{}` is read with the wrong leading dimension: its rows are taken to be {step} elements apart, and are {columns}",
                linear.matrix.name
            );
            fits.push(fit(scene, &made, claim, &|_, lane| lane < known));
        }
        let known = inside(tokens).count();
        if known >= 2 && looks_so(scene, linear, [columns, step], rows, 1..known) {
            let mut x = linear.x.as_ref().clone();
            for token in 0..known {
                let from = &linear.x.data[token * step..token * step + columns];
                x.data[token * columns..(token + 1) * columns].copy_from_slice(from);
            }
            if let Some(made) = linear.of(&x) {
                let claim = format!(
                    "the input is read with the wrong leading dimension: its rows are taken to be {step} elements apart, and are {columns}"
                );
                let made = linear.with_bias(&made, 1.0);
                fits.push(fit(scene, &made, claim, &|token, _| {
                    token > 0 && token < known
                }));
            }
        }
    }
    fits
}

/// Whether some of the elements follow: a whole product for every distance would take too long.
fn looks_so(
    scene: &Scene<'_>,
    linear: &Linear<'_>,
    [of_matrix, of_batch]: [usize; 2],
    rows: usize,
    tokens: Range<usize>,
) -> bool {
    let (width, columns) = (linear.matrix.rows.len(), linear.matrix.columns());
    let elements = tokens.flat_map(|token| {
        (0..rows)
            .step_by(rows.div_ceil(SAMPLED))
            .map(move |row| (token, row))
    });
    let pairs = elements.map(|(token, row)| {
        let input = &linear.x.data[token * of_batch..token * of_batch + columns];
        let weights = (0..columns).map(|column| linear.flat_weight(row * of_matrix + column));
        let sum: f64 = weights.zip(input).map(|(weight, x)| weight * x).sum();
        let bias = linear.bias.as_ref().map_or(0.0, |bias| bias[row]);
        (scene.candidate.data[token * width + row], sum + bias)
    });
    residual(pairs) < PROMISING
}

/// Rows of the matrix that are looked at first.
const SAMPLED: usize = 32;

/// More than the coarsest quantisation of activations leaves (6e-2, docs/gpu.md), less than unrelated numbers (1).
const PROMISING: f64 = 0.3;

/// Distances that somebody may mean: all sizes of the model, and the next multiples of what memory is aligned to.
fn distances(linear: &Linear<'_>, columns: usize) -> BTreeSet<usize> {
    let sizes = linear.sizes().into_iter();
    let aligned = [32, 64, 128, 256].map(|unit| columns.next_multiple_of(unit));
    let all: BTreeSet<usize> = sizes
        .chain(aligned)
        .filter(|step| *step > columns)
        .collect();
    all.into_iter().take(TRIED).collect()
}

/// A fit by the elements that are known, the token and the lane of each.
fn fit(
    scene: &Scene<'_>,
    made: &Dense,
    claim: String,
    known: &dyn Fn(usize, usize) -> bool,
) -> Fit {
    let width = made.data.len() / made.shape[0].max(1);
    let pairs = scene.candidate.data.iter().zip(&made.data).enumerate();
    let pairs = pairs.filter(|(index, _)| known(index / width, index % width));
    let left = residual(pairs.map(|(_, (found, expected))| (*found, *expected)));
    let mut fit = scene.fit(made, Basis::Inputs, claim);
    (fit.residual, fit.residual_all) = (left, left);
    fit
}
