//! Statistics over all elements of a tensor.

use crate::tensor::{Element, TensorView};

/// What `stats` of a record holds.
///
/// # NaN and infinity
///
/// Counted, and excluded from `min`, `max`, `mean` and `rms`, which are NaN when no element is finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Elements.
    pub n: u64,
    /// Of them NaN.
    pub nan: u64,
    /// Of them infinite, of either sign.
    pub inf: u64,
    /// Of them zero, of either sign.
    pub zero: u64,
    /// Least finite element; a zero is `0.0`, never `-0.0`.
    pub min: f64,
    /// Greatest finite element; a zero is `0.0`, never `-0.0`.
    pub max: f64,
    /// Sum of the finite elements over their number.
    pub mean: f64,
    /// Square root of the mean of the squares of the finite elements.
    pub rms: f64,
}

impl Default for Stats {
    /// Statistics of no elements.
    fn default() -> Self {
        Self {
            n: 0,
            nan: 0,
            inf: 0,
            zero: 0,
            min: f64::NAN,
            max: f64::NAN,
            mean: f64::NAN,
            rms: f64::NAN,
        }
    }
}

impl Stats {
    pub(crate) fn of<T: Element>(view: &TensorView<'_, T>) -> Self {
        let mut stats = Self {
            n: view.len() as u64,
            ..Self::default()
        };
        let (mut sum, mut squares, mut finite) = (0.0f64, 0.0f64, 0u64);
        for element in view.iter() {
            let value = element.number().to_f64();
            stats.nan += u64::from(value.is_nan());
            stats.inf += u64::from(value.is_infinite());
            if value.is_finite() {
                finite += 1;
                stats.zero += u64::from(value == 0.0);
                stats.min = stats.min.min(value);
                stats.max = stats.max.max(value);
                sum += value;
                squares += value * value;
            }
        }
        stats.mean = sum / finite as f64;
        stats.rms = (squares / finite as f64).sqrt();
        stats
    }
}
