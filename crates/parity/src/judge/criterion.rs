//! What counts as more than rounding.

use super::bands::Band;
use super::noise::Noise;
use crate::measure::Measured;

/// What the user asked to judge by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Criterion {
    /// The measured noise of the models' weights.
    #[default]
    Noise,
    /// An NMSE given by the user (`--threshold`).
    MaxNmse(f64),
    /// The bands of the comparison specification (`--bands`): `fail` diverges.
    Bands,
}

/// The criterion with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// From the noise table.
    Noise(Noise),
    /// Given by the user.
    MaxNmse(f64),
    /// By bands.
    Bands,
}

impl Limit {
    /// The NMSE above which a pair of this checkpoint diverges; `None` where bands decide.
    pub fn max_nmse(&self, checkpoint: &str) -> Option<f64> {
        match self {
            Self::Noise(noise) => Some(noise.max_nmse(checkpoint)),
            Self::MaxNmse(limit) => Some(*limit),
            Self::Bands => None,
        }
    }

    /// True where the pair differs by more than the limit.
    pub fn is_exceeded(&self, checkpoint: &str, measured: &Measured) -> bool {
        exceeds(measured, self.max_nmse(checkpoint))
    }
}

/// The same for a limit that is known already; `None` where bands decide.
pub(super) fn exceeds(measured: &Measured, max_nmse: Option<f64>) -> bool {
    match max_nmse {
        // A NaN must not pass for agreement.
        Some(limit) => measured.nmse.is_nan() || measured.nmse > limit,
        None => measured
            .max_abs_diff
            .is_some_and(|difference| Band::of(difference) == Band::Fail),
    }
}
