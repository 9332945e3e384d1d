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
                        *sum = halved(odd(f64::from(*x) * f64::from(*w) + f64::from(*sum)));
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

/// The number of f32 at or next to `x` towards zero, with its last bit set where it is not `x`: rounded again, to fewer bits, it
/// becomes what `x` would (Boldo and Melquiond, "When double rounding is odd", 2005). The nearest number of f32 would not: it may
/// lie exactly between two of f16 where `x` does not.
fn odd(x: f64) -> f32 {
    let nearest = x as f32;
    let back = f64::from(nearest);
    let bits = nearest.to_bits() - u32::from(back.abs() > x.abs());
    f32::from_bits(bits | u32::from(back != x))
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
    fn a_step_is_rounded_once() {
        // 2048 + 1 lies between 2048 and 2050, and goes to 2048, whose last bit is even; a little more goes to 2050. In f32 that
        // little is lost: 2049 + 2^-20 has 32 bits.
        let (one, little) = (f64::from(1.0_f32 + 2_f32.powi(-10)), 1.0 - 2_f64.powi(-10));
        for (x, w, sum, expected) in [
            (1.0, 1.0, 2048.0, 2048.0),
            (one, little, 2048.0, 2048.0), // 2049 - 2^-20
            (1.0 + 2_f64.powi(-20), 1.0, 2048.0, 2050.0),
            (-1.0 - 2_f64.powi(-20), 1.0, -2048.0, -2050.0),
            (0.0, 1.0, 0.5, 0.5),
        ] {
            assert_eq!(halved(odd(x * w + sum)), expected, "{x} {w} {sum}");
        }
        // Straight to f32 and then to f16 gives the other neighbour.
        assert_eq!(halved((2049.0 + 2_f64.powi(-20)) as f32), 2048.0);
    }

    #[test]
    fn blocks_of_threads() {
        // 64 elements are one step of 32 threads; 576 are two of 160; 1536 are three of 256.
        for (inputs, expected) in [(64, 32), (576, 160), (1536, 256), (512, 256)] {
            assert_eq!(threads(inputs), expected, "{inputs}");
        }
    }
}
