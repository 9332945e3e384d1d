//! Statistics over all elements of a tensor.

/// What `stats` of a record holds.
///
/// # NaN and infinity
///
/// Counted, and excluded from `min`, `max`, `mean` and `rms`, which are NaN when no element is finite.
///
/// # Example
///
/// ```
/// use orch_log::Stats;
/// let stats = Stats::of(&[3.0f32, -4.0, f32::NAN, 0.0]);
/// assert_eq!((stats.n, stats.nan, stats.zero), (4, 1, 1));
/// assert_eq!((stats.min, stats.max), (-4.0, 3.0));
/// assert_eq!(stats.rms, (25.0f64 / 3.0).sqrt());
/// ```
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
    /// Statistics of all elements of `data`.
    pub fn of<'a, T: crate::Element>(data: impl Into<crate::TensorView<'a, T>>) -> Self {
        super::summarize(&data.into()).0
    }
}
