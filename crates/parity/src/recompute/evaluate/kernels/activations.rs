//! Activations as 8-bit integers.

use super::kernel::{Integers, Sums};
use half::f16;

/// Rows of activations, rounded.
pub(super) struct Rounded {
    pub(super) inputs: usize,
    /// One for each activation.
    pub(super) integers: Vec<i8>,
    /// One for each block of the weights.
    pub(super) steps: Vec<f32>,
    /// The same.
    pub(super) sums: Vec<f64>,
}

/// Activations that a vector kernel's warp sums, one each; a tiled kernel's thread has 4.
const WARP: usize = 32;
const OF_A_THREAD: usize = 4;

/// Activations that a tiled kernel lays side by side.
const TILE: usize = 128;

impl Integers {
    /// Rounds rows of `inputs` activations, for weights in blocks of `len`.
    pub(super) fn round(&self, x: &[f32], inputs: usize, len: usize) -> Rounded {
        let mut rounded = Rounded {
            inputs,
            integers: Vec::with_capacity(x.len()),
            steps: Vec::with_capacity(x.len() / len),
            sums: Vec::with_capacity(x.len() / len),
        };
        for row in x.chunks_exact(inputs) {
            for block in row.chunks(self.step_len) {
                let step = self.block(block, &mut rounded.integers);
                let steps = block.len().div_ceil(len);
                rounded.steps.extend(std::iter::repeat_n(step, steps));
            }
            for (index, block) in row.chunks(len).enumerate() {
                let at = rounded.sums.len();
                let of_integers = || {
                    let integers = &rounded.integers[at * len..][..block.len()];
                    integers.iter().map(|q| i32::from(*q)).sum::<i32>() as f32
                };
                let step = rounded.steps[at];
                let half = |x: f32| f16::from_f32(x).to_f32();
                let sum = match self.sums {
                    Sums::Whole => f64::from(half(self.sum(block))),
                    Sums::WholeOf96 if index * len % TILE < 96 => f64::from(half(self.sum(block))),
                    Sums::RoundedInHalf => f64::from(half(half(of_integers()) * step)),
                    Sums::Rounded | Sums::WholeOf96 => f64::from(of_integers()) * f64::from(step),
                };
                rounded.sums.push(sum);
            }
        }
        rounded
    }

    /// Appends the integers of one block and returns its step as it is kept.
    fn block(&self, block: &[f32], integers: &mut Vec<i8>) -> f32 {
        let largest = block.iter().fold(0_f32, |largest, x| largest.max(x.abs()));
        if largest == 0.0 {
            integers.extend(std::iter::repeat_n(0, block.len()));
            return 0.0;
        }
        let (step, inverse) = if self.divides {
            let step = largest / 127.0;
            (step, 1.0 / step)
        } else {
            let inverse = 127.0 / largest;
            (1.0 / inverse, inverse)
        };
        integers.extend(block.iter().map(|x| (x * inverse).round() as i8));
        if self.half_steps {
            f16::from_f32(step).to_f32()
        } else {
            step
        }
    }

    /// The sum in f32, in the kernel's order, on which its last bit hangs.
    fn sum(&self, block: &[f32]) -> f32 {
        let mut lanes: Vec<f32> = if self.divides {
            block.to_vec()
        } else {
            let of_thread = |four: &[f32]| four.iter().copied().reduce(|a, b| a + b);
            block.chunks(OF_A_THREAD).filter_map(of_thread).collect()
        };
        debug_assert!(lanes.len() <= WARP && lanes.len().is_power_of_two());
        // Each lane adds that of its partner, first of the one half the way off.
        while lanes.len() > 1 {
            let (left, right) = lanes.split_at(lanes.len() / 2);
            lanes = left.iter().zip(right).map(|(a, b)| a + b).collect();
        }
        lanes.first().copied().unwrap_or(0.0)
    }
}
