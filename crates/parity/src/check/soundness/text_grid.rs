//! How many digits the numbers of a trace were printed with, told from the numbers alone.

use orch_log::format::Dtype;

/// How numbers were printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    /// So that they read back to the same bits, or too few numbers to tell.
    Exactly,
    /// With a fixed number of decimals: `printf("%f")` has 6.
    Decimals(u32),
    /// With a fixed number of significant digits: `printf("%g")` has 6.
    Digits(u32),
}

impl Printed {
    /// Half a unit of the last decimal: what every number may be off by.
    pub(super) fn fixed_half_step(self) -> Option<f64> {
        match self {
            Self::Decimals(decimals) => Some(0.5 * 10_f64.powi(-(decimals as i32))),
            _ => None,
        }
    }
}

/// Tells exact text from text with a fixed number of decimals or digits.
///
/// A number of `d` decimals lies on a grid of step 10⁻ᵈ, which is coarser than the spacing of the storage type where
/// numbers are small. A number printed exactly lies on it by chance only, with the probability spacing ÷ step. One
/// number off the grid refutes it; the product of the probabilities of those on it is what believing in it risks.
#[derive(Debug)]
pub(super) struct TextGrid {
    /// For each candidate the logarithm of the probability that chance explains it, or `None` once refuted.
    decimals: [Option<f64>; Self::MAX_DECIMALS],
    digits: [Option<f64>; Self::MAX_DIGITS],
    /// Different values so far, up to [`Self::DISTINCT`]. Constants are often round (0.1, an `eps` of 1e-5), and a
    /// thousand of one constant are one.
    distinct: Vec<u64>,
}

impl Default for TextGrid {
    fn default() -> Self {
        Self {
            decimals: [Some(0.0); Self::MAX_DECIMALS],
            digits: [Some(0.0); Self::MAX_DIGITS],
            distinct: Vec::new(),
        }
    }
}

impl TextGrid {
    /// Grids of 1 to this many decimals are tried.
    const MAX_DECIMALS: usize = 8;
    /// 1 to this many significant digits; 7 digits already tell most `f32` apart.
    const MAX_DIGITS: usize = 6;
    /// So many different values are needed.
    const DISTINCT: usize = 20;
    /// ln 10⁻¹²: one exact trace in 10¹² is taken for a rounded one.
    const CONVINCED: f64 = -27.6;

    /// Takes in the values of one record.
    pub(super) fn observe(&mut self, values: &[f64], dtype: Dtype) {
        if dtype.is_integer() || self.is_refuted() {
            return;
        }
        let as_f32 = dtype.prints_as_f32();
        for value in values
            .iter()
            .copied()
            .filter(|value| value.is_finite() && *value != 0.0)
        {
            let known = self.distinct.contains(&value.to_bits());
            if !known && self.distinct.len() < Self::DISTINCT {
                self.distinct.push(value.to_bits());
            }
            let weight = if known { 0.0 } else { 1.0 };
            for (index, grid) in self.decimals.iter_mut().enumerate() {
                if let Some(chance) = grid {
                    let scale = 10_f64.powi(index as i32 + 1);
                    *grid = reads_as((value * scale).round() / scale, value, as_f32).then(|| {
                        *chance + weight * evidence(value, scale.recip(), index as u32 + 1, as_f32)
                    });
                }
            }
            for (index, grid) in self.digits.iter_mut().enumerate() {
                if let Some(chance) = grid {
                    let digits = index + 1;
                    let text = format!("{value:.index$e}");
                    let rounded = if as_f32 {
                        text.parse::<f32>().map_or(f64::NAN, f64::from)
                    } else {
                        text.parse::<f64>().unwrap_or(f64::NAN)
                    };
                    let exponent = value.abs().log10().floor();
                    let step = 10_f64.powf(exponent + 1.0 - digits as f64);
                    let decimals = (digits as f64 - 1.0 - exponent).clamp(0.0, 40.0) as u32;
                    *grid = (rounded == value)
                        .then(|| *chance + weight * evidence(value, step, decimals, as_f32));
                }
            }
            if self.is_refuted() {
                return;
            }
        }
    }

    fn is_refuted(&self) -> bool {
        self.decimals
            .iter()
            .chain(&self.digits)
            .all(Option::is_none)
    }

    /// Half a unit of the last decimal, as far as the numbers so far tell; 0 once no grid explains them.
    pub(super) fn half_step(&self) -> f64 {
        let decimals = self.decimals.iter().position(Option::is_some);
        decimals.map_or(0.0, |index| 0.5 * 10_f64.powi(-(index as i32 + 1)))
    }

    /// What the numbers so far say.
    pub(super) fn printed(&self) -> Printed {
        if self.distinct.len() < Self::DISTINCT {
            return Printed::Exactly;
        }
        let convinced = |grids: &[Option<f64>]| {
            grids
                .iter()
                .position(|grid| grid.is_some_and(|chance| chance < Self::CONVINCED))
                .map(|index| index as u32 + 1)
        };
        match (convinced(&self.decimals), convinced(&self.digits)) {
            (Some(decimals), _) => Printed::Decimals(decimals),
            (None, Some(digits)) => Printed::Digits(digits),
            (None, None) => Printed::Exactly,
        }
    }
}

/// True where the text of `rounded` reads as `value`: where `value` is the number of its type that is nearest.
///
/// The margin is for `rounded`, which was computed with one rounding more than a text has.
fn reads_as(rounded: f64, value: f64, as_f32: bool) -> bool {
    (rounded - value).abs()
        <= (0.5 + 1e-6) * spacing(value, as_f32) + 2.0 * f64::EPSILON * value.abs()
}

/// From the magnitude of a number to the next one that its type can hold.
fn spacing(value: f64, as_f32: bool) -> f64 {
    if as_f32 {
        let value = value.abs() as f32;
        f64::from(value.next_up() - value)
    } else {
        value.abs().next_up() - value.abs()
    }
}

/// The logarithm of the probability that a number printed exactly lies on the grid: spacing over step.
///
/// A number with few binary digits (0.5, 3.25, an integer) is its own decimal and proves nothing.
fn evidence(value: f64, step: f64, decimals: u32, as_f32: bool) -> f64 {
    let scaled = value * 2_f64.powi(decimals.min(60) as i32);
    if scaled == scaled.trunc() {
        return 0.0;
    }
    (spacing(value, as_f32) / step).min(1.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use proptest::prelude::*;

    fn printed(values: &[f64], dtype: Dtype) -> Printed {
        let mut grid = TextGrid::default();
        for row in values.chunks(10) {
            grid.observe(row, dtype);
        }
        grid.printed()
    }

    fn read(text: String) -> f64 {
        f64::from(text.parse::<f32>().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn exact_text_is_exact(
            values in proptest::collection::vec(-10.0_f32..10.0, 0..200),
            scale in prop::sample::select(vec![1e-30, 1e-9, 1e-3, 0.1, 1.0, 10.0, 1e4, 1e12]),
        ) {
            let scaled: Vec<f32> = values.iter().map(|value| value * scale).collect();
            let as_f32: Vec<f64> = scaled.iter().map(|value| f64::from(*value)).collect();
            prop_assert_eq!(printed(&as_f32, Dtype::F32), Printed::Exactly);
            let as_f16: Vec<f64> = scaled.iter().map(|value| f16::from_f32(*value).to_f64()).collect();
            prop_assert_eq!(printed(&as_f16, Dtype::F16), Printed::Exactly);
            let as_bf16: Vec<f64> = scaled.iter().map(|value| bf16::from_f32(*value).to_f64()).collect();
            prop_assert_eq!(printed(&as_bf16, Dtype::Bf16), Printed::Exactly);
            // Activations that were quantised to few levels.
            let levels: Vec<f64> = values.iter().map(|value| f64::from(value.round() / 16.0)).collect();
            prop_assert_eq!(printed(&levels, Dtype::F32), Printed::Exactly);
        }

        #[test]
        fn rounded_text_is_seen(values in proptest::collection::vec(-3.0_f32..3.0, 60..100)) {
            for decimals in [4, 6] {
                let rounded: Vec<f64> = values.iter().map(|value| read(format!("{value:.decimals$}"))).collect();
                prop_assert_eq!(printed(&rounded, Dtype::F32), Printed::Decimals(decimals as u32));
            }
            let rounded: Vec<f64> = values.iter().map(|value| read(format!("{:.4e}", value * 1e-5))).collect();
            prop_assert_eq!(printed(&rounded, Dtype::F32), Printed::Digits(5));
        }
    }

    #[test]
    fn zeros_and_integers_prove_nothing() {
        let values: Vec<f64> = (0..500).map(|i| f64::from(i % 7)).collect();
        let mut grid = TextGrid::default();
        grid.observe(&values, Dtype::F32);
        assert_eq!(grid.half_step(), 0.05);
        assert_eq!(grid.printed(), Printed::Exactly);
        // Nor do constants, however round and however often.
        let constants: Vec<f64> = (0..500)
            .map(|i| f64::from([0.1_f32, 1e-5, 0.3][i % 3]))
            .collect();
        assert_eq!(printed(&constants, Dtype::F32), Printed::Exactly);
    }
}
