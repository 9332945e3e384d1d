//! Products of integers, scaled block by block.

use super::activations::Rounded;
use super::kernel::Integers;
use crate::recompute::blocks::Blocks;
use crate::recompute::evaluate::product::in_parts;
use half::f16;

/// Rows of activations times the transpose of a matrix in blocks; sums of blocks are added in f64.
///
/// # Shape
///
/// `[rows of x, rows of the matrix]`.
pub(super) fn product(kernel: &Integers, x: &Rounded, matrix: &Blocks) -> Vec<f64> {
    let (inputs, len) = (matrix.inputs, matrix.len);
    let blocks = inputs / len;
    let (rows, outputs) = (x.integers.len() / x.inputs, matrix.integers.len() / inputs);
    let half = |scale: &f32| match kernel.half_scales {
        true => f16::from_f32(*scale).to_f32(),
        false => *scale,
    };
    in_parts(rows, outputs, inputs, |part| {
        let mut out = Vec::with_capacity(part.len() * rows);
        for output in part {
            let weights = &matrix.integers[output * inputs..][..inputs];
            let of_row = output * blocks..(output + 1) * blocks;
            let scales: Vec<f32> = matrix.scales[of_row.clone()].iter().map(half).collect();
            let floors: Vec<f32> = matrix.floors[of_row].iter().map(half).collect();
            for row in 0..rows {
                let integers = &x.integers[row * inputs..][..inputs];
                let steps = &x.steps[row * blocks..][..blocks];
                let sums = &x.sums[row * blocks..][..blocks];
                let mut total = 0.0;
                for block in 0..blocks {
                    let at = block * len..(block + 1) * len;
                    let dot = f64::from(dot(&weights[at.clone()], &integers[at]));
                    let (scale, floor) = (scales[block], floors[block]);
                    let (step, sum) = (steps[block], sums[block]);
                    total += if kernel.half_products {
                        halved(scale * step) * dot + halved(floor * sum as f32)
                    } else {
                        f64::from(scale) * f64::from(step) * dot + f64::from(floor) * sum
                    };
                }
                out.push(total);
            }
        }
        out
    })
}

/// Two numbers of f16 have a product that f32 holds exactly: one rounding.
fn halved(product: f32) -> f64 {
    f64::from(f16::from_f32(product).to_f32())
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b)))
        .sum()
}
