//! Scales, minima and codes of quantised blocks, found again in the decoded numbers.
//!
//! ggml decodes blocks; a hypothesis about a *wrong* decoding needs what they were made of. It is in the decoded
//! numbers: a block's numbers lie on a grid whose step is its scale.

use orch_log::format::Dtype;

use crate::recompute::round_to;

/// Elements of a block.
pub const BLOCK: usize = 32;

/// The storage types whose blocks are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// scale · (code − 8), codes of four bits.
    Q4_0,
    /// scale · code + minimum, codes of four bits.
    Q4_1,
    /// scale · code, codes of eight bits.
    Q8_0,
}

impl Stored {
    /// The type of this name.
    pub fn of(dtype: &str) -> Option<Self> {
        match dtype.to_ascii_lowercase().as_str() {
            "q4_0" => Some(Self::Q4_0),
            "q4_1" => Some(Self::Q4_1),
            "q8_0" => Some(Self::Q8_0),
            _ => None,
        }
    }

    /// Whether codes have four bits.
    pub const fn is_four_bits(self) -> bool {
        matches!(self, Self::Q4_0 | Self::Q4_1)
    }
}

/// One block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Step of the grid.
    pub scale: f64,
    /// What a code of zero is worth, where it is stored.
    pub minimum: f64,
    /// As they are stored: 0 to 15, or −128 to 127.
    pub codes: [i32; BLOCK],
}

/// How far from a whole number a number over its scale may lie.
const ON_GRID: f64 = 0.02;

impl Block {
    /// The block that decodes to these numbers; `None` where no half-precision scale does.
    pub fn of(stored: Stored, values: &[f32]) -> Option<Self> {
        let values: [f64; BLOCK] = std::array::from_fn(|at| f64::from(values[at]));
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
                (low.min(*x), high.max(*x))
            });
        if low == 0.0 && high == 0.0 {
            let code = if stored == Stored::Q4_0 { 8 } else { 0 };
            return Some(Self {
                scale: 0.0,
                minimum: 0.0,
                codes: [code; BLOCK],
            });
        }
        let half = |x: f64| round_to(Dtype::F16, x);
        let largest = if high.abs() > low.abs() { high } else { low };
        match stored {
            Stored::Q4_1 => (1..=15).rev().find_map(|steps| {
                let scale = half((high - low) / f64::from(steps));
                // Where the codes do not use the whole range several minima come near, of which one was stored.
                (0..=15 - steps)
                    .filter_map(|first| {
                        let minimum = half(low - scale * f64::from(first));
                        Self::on_grid(&values, scale, minimum, 0, 0..=15)
                    })
                    .min_by(|a, b| {
                        a.distance(stored, &values)
                            .total_cmp(&b.distance(stored, &values))
                    })
            }),
            // The number of the largest magnitude has the code 0, that is −8, unless the quantiser chose otherwise.
            Stored::Q4_0 => [-8, 7, -7, 6, -6, 5, -5, 4, -4, 3, -3, 2, -2, 1, -1]
                .iter()
                .find_map(|code| {
                    Self::on_grid(&values, half(largest / f64::from(*code)), 0.0, 8, 0..=15)
                }),
            Stored::Q8_0 => (1..=127).rev().find_map(|code| {
                Self::on_grid(
                    &values,
                    half(largest.abs() / f64::from(code)),
                    0.0,
                    0,
                    -128..=127,
                )
            }),
        }
    }

    fn on_grid(
        values: &[f64; BLOCK],
        scale: f64,
        minimum: f64,
        zero: i32,
        range: std::ops::RangeInclusive<i32>,
    ) -> Option<Self> {
        if scale == 0.0 {
            return None;
        }
        let mut codes = [0; BLOCK];
        for (code, value) in codes.iter_mut().zip(values) {
            let exact = (value - minimum) / scale;
            *code = exact.round() as i32 + zero;
            if (exact - exact.round()).abs() > ON_GRID || !range.contains(code) {
                return None;
            }
        }
        Some(Self {
            scale,
            minimum,
            codes,
        })
    }

    /// The largest difference from numbers that it may have decoded to.
    fn distance(&self, stored: Stored, values: &[f64; BLOCK]) -> f64 {
        let differences = self.decoded(stored).into_iter().zip(values);
        differences.fold(0.0, |largest, (a, b)| f64::max(largest, (a - b).abs()))
    }

    /// What a code is worth.
    pub fn value(&self, stored: Stored, code: i32) -> f64 {
        match stored {
            Stored::Q4_0 => self.scale * f64::from(code - 8),
            Stored::Q4_1 => self.scale * f64::from(code) + self.minimum,
            Stored::Q8_0 => self.scale * f64::from(code),
        }
    }

    /// The block with its codes in other places: `from(i)` is the place that element i's code is taken from.
    pub fn moved(&self, from: impl Fn(usize) -> usize) -> Self {
        Self {
            codes: std::array::from_fn(|at| self.codes[from(at)]),
            ..self.clone()
        }
    }

    /// All numbers.
    pub fn decoded(&self, stored: Stored) -> [f64; BLOCK] {
        std::array::from_fn(|at| self.value(stored, self.codes[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_again() {
        let codes = |range: i32, low: i32| -> [i32; BLOCK] {
            std::array::from_fn(|at| (at as i32 * 7 + 3) % range + low)
        };
        for (stored, scale, minimum, codes) in [
            (Stored::Q4_1, 0.03125, -0.25, codes(16, 0)),
            (Stored::Q4_1, 0.012, -0.1, codes(12, 2)),
            (Stored::Q4_0, -0.02, 0.0, codes(16, 0)),
            (Stored::Q8_0, 0.003, 0.0, codes(255, -127)),
        ] {
            let half = |x: f64| round_to(Dtype::F16, x);
            let block = Block {
                scale: half(scale),
                minimum: half(minimum),
                codes,
            };
            let values: Vec<f32> = block.decoded(stored).iter().map(|x| *x as f32).collect();
            let found = Block::of(stored, &values).unwrap();
            // Another minimum with other codes may stand for the same numbers.
            let again = found.decoded(stored);
            let error = again
                .iter()
                .zip(&values)
                .map(|(a, b)| (a - f64::from(*b)).abs())
                .fold(0.0, f64::max);
            assert!(error < 1e-6, "{stored:?}: {error}");
            assert!(
                (found.scale - block.scale).abs() < 1e-9,
                "{stored:?}: {} {}",
                found.scale,
                block.scale
            );
        }
        assert_eq!(Block::of(Stored::Q8_0, &[0.0; BLOCK]).unwrap().scale, 0.0);
    }
}
