//! What statistics alone prove about two whole tensors.

use super::metrics::ratio;
use orch_log::format::Stats;

/// Lower bounds on the disagreement of two tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatsBound {
    /// The NMSE is at least this.
    pub nmse: f64,
    /// The largest absolute difference is at least this.
    pub max_abs_diff: f64,
    /// At least this many elements are non-finite in one and not in the other.
    pub mismatched_non_finite: u64,
}

/// What the statistics of two equally large tensors prove about their difference.
///
/// By the reverse triangle inequality ‖b−a‖ ≥ |‖b‖−‖a‖|, by Jensen's mean((b−a)²) ≥ (mean b − mean a)²,
/// and the largest difference is at least that of the two maxima, and that of the two minima.
///
/// `None` where the counts differ. The figures over the finite elements are used only where both tensors
/// are finite throughout.
pub fn stats_bound(reference: &Stats, candidate: &Stats) -> Option<StatsBound> {
    if reference.n != candidate.n {
        return None;
    }
    let mismatched_non_finite = reference
        .nan
        .abs_diff(candidate.nan)
        .max(reference.inf.abs_diff(candidate.inf));
    let finite = reference.nan + reference.inf + candidate.nan + candidate.inf == 0;
    if !finite || reference.n == 0 {
        return Some(StatsBound {
            nmse: 0.0,
            max_abs_diff: 0.0,
            mismatched_non_finite,
        });
    }
    let mean = (candidate.mean - reference.mean).powi(2);
    let norm = (candidate.rms - reference.rms).powi(2);
    Some(StatsBound {
        nmse: ratio(mean.max(norm), reference.rms * reference.rms),
        max_abs_diff: (candidate.max - reference.max)
            .abs()
            .max((candidate.min - reference.min).abs()),
        mismatched_non_finite,
    })
}
