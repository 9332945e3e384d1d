//! Sums in f16: one token times f16 weights.

use crate::recompute::evaluate::product::in_parts;
use half::f16;

/// Rows of `x` times the transpose of a matrix of f16 numbers.
///
/// # Source
///
/// `mul_mat_vec_f` of ggml's CUDA backend: each of a block's threads takes every n-th pair of elements and adds up their products in
/// two numbers of f16, each step rounded once (a fused multiplication and addition); the threads' sums are added in f32. The block
/// is as large as takes the fewest steps, of multiples of 32 threads up to 256 the smallest.
pub(super) fn product(x: &[f32], inputs: usize, matrix: &[f32]) -> Vec<f64> {
    let (rows, outputs) = (x.len() / inputs, matrix.len() / inputs);
    let lanes = 2 * threads(inputs);
    let x: Vec<f32> = x.iter().map(|x| f16::from_f32(*x).to_f32()).collect();
    in_parts(rows, outputs, inputs, |part| {
        let mut out = Vec::with_capacity(part.len() * rows);
        let mut sums = vec![0.0_f32; lanes];
        for output in part {
            let weights = &matrix[output * inputs..][..inputs];
            for row in x.chunks_exact(inputs) {
                sums.fill(0.0);
                for (x, w) in row.chunks(lanes).zip(weights.chunks(lanes)) {
                    for (sum, (x, w)) in sums.iter_mut().zip(x.iter().zip(w)) {
                        *sum = halved(x.mul_add(*w, *sum));
                    }
                }
                out.push(sums.iter().map(|sum| f64::from(*sum)).sum());
            }
        }
        out
    })
}

/// Threads of a block for rows of this many elements.
fn threads(inputs: usize) -> usize {
    let steps = |threads: &usize| inputs.div_ceil(2 * threads);
    // Of equal ones `min_by_key` takes the first.
    (1..=8)
        .map(|warps| 32 * warps)
        .min_by_key(steps)
        .unwrap_or(32)
}

/// To the nearest number of f16, ties to even: as `f16::from_f32`, in operations that a compiler does for eight numbers at once.
fn halved(x: f32) -> f32 {
    // 2⁻¹⁴ is the smallest normal number; below, a number of f16 is a multiple of 2⁻²⁴, as numbers of f32 from 0.5 on are.
    const NORMAL: f32 = 6.103_515_6e-5;
    let bits = x.to_bits();
    let rounded = f32::from_bits(bits.wrapping_add(0x0fff + (bits >> 13 & 1)) & !0x1fff);
    let small = (x.abs() + 0.5 - 0.5).copysign(x);
    if x.abs() < NORMAL {
        small
    } else if rounded.abs() > 65504.0 {
        f32::INFINITY.copysign(x)
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_as_another_implementation_has_them() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..50_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let scale = 2_f32.powi((state % 50) as i32 - 30);
            let x = ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale;
            assert_eq!(halved(x), f16::from_f32(x).to_f32(), "{x:e}");
        }
        assert_eq!(halved(65520.0), f32::INFINITY);
        assert_eq!(halved(-0.0).to_bits(), (-0.0_f32).to_bits());
    }

    #[test]
    fn blocks_of_threads() {
        // 64 elements are one step of 32 threads; 576 are two of 160; 1536 are three of 256.
        for (inputs, expected) in [(64, 32), (576, 160), (1536, 256), (512, 256)] {
            assert_eq!(threads(inputs), expected, "{inputs}");
        }
    }
}
