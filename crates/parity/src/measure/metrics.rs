//! Figures of a pair, from its merged sums.

use super::partial::Partial;
use super::ulp::Ulp;

/// The metrics of one pair, over the elements where both values are finite.
///
/// Accumulated in f64. `docs/metrics.md` has the formulas side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// max |candidate − reference|. Range 0 …, in the tensor's own unit.
    pub max_abs_diff: f64,
    /// Σ |candidate − reference| / n. Range 0 ….
    pub mean_abs_diff: f64,
    /// max |candidate − reference| / max(|reference|, 1e-8). Range 0 ….
    pub max_rel_diff: f64,
    /// √(Σ (candidate − reference)² / n). Range 0 ….
    pub rmse: f64,
    /// mse(reference, candidate) / mse(reference, 0): the squared relative error. Range 0 ….
    ///
    /// All-zero reference: 0 where the candidate is zero too, otherwise infinite.
    ///
    /// # Source
    ///
    /// The form of `nmse` in llama.cpp's `tests/test-backend-ops.cpp`.
    pub nmse: f64,
    /// Σ reference·candidate / (‖reference‖ ‖candidate‖). Range −1 … 1.
    ///
    /// `None` where either is all zero: a zero vector has no direction.
    pub cosine: Option<f64>,
    /// Cosine similarity after each side's mean is taken off: Pearson's correlation. Range −1 … 1.
    ///
    /// `None` where either is constant, as far as rounding lets that be told: a variance below 1e-12 of the mean
    /// square.
    pub pearson: Option<f64>,
    /// Largest distance in units of the last place of the candidate's storage type; `None` for integers.
    pub max_ulp: Option<u64>,
    /// Elements where one value is positive and the other negative.
    pub sign_disagreements: u64,
}

impl Metrics {
    /// The figures of `partial`; `None` where no element had two finite values.
    ///
    /// `reference_rms` is the root mean square over the whole reference tensor, where it is known and
    /// `partial` covers only a part: it is then the denominator of the NMSE, since ten elements that
    /// happen to be near zero would make any rounding look large. `ulp` is the format in whose steps `partial` counted
    /// distances.
    pub fn of(partial: &Partial, reference_rms: Option<f64>, ulp: Option<Ulp>) -> Option<Self> {
        if partial.finite == 0 {
            return None;
        }
        let n = partial.finite as f64;
        let mean_sq_diff = partial.sum_sq_diff / n;
        let scale = reference_rms.map_or(partial.sum_sq_reference / n, |rms| rms * rms);
        Some(Self {
            max_abs_diff: partial.max_abs_diff,
            mean_abs_diff: partial.sum_abs_diff / n,
            max_rel_diff: partial.max_rel_diff,
            rmse: mean_sq_diff.sqrt(),
            nmse: ratio(mean_sq_diff, scale),
            cosine: cosine(partial),
            pearson: pearson(partial),
            max_ulp: ulp.map(|_| partial.max_ulp),
            sign_disagreements: partial.sign_disagreements,
        })
    }
}

/// Signal to quantisation noise ratio, −10 log₁₀ NMSE, in dB; infinite for an NMSE of 0.
pub fn sqnr_db(nmse: f64) -> f64 {
    -10.0 * nmse.log10()
}

/// Squared error over squared magnitude; disagreement with nothing is infinite, agreement zero.
///
/// Magnitudes beyond 1e154, whose squares overflow, give infinity: reported as different, never as
/// agreement.
pub(crate) fn ratio(sq_diff: f64, sq_reference: f64) -> f64 {
    if sq_diff == 0.0 {
        0.0
    } else if sq_reference > 0.0 && sq_diff.is_finite() {
        sq_diff / sq_reference
    } else {
        f64::INFINITY
    }
}

fn cosine(partial: &Partial) -> Option<f64> {
    let norms = partial.sum_sq_reference.sqrt() * partial.sum_sq_candidate.sqrt();
    if norms == 0.0 || !norms.is_finite() {
        None
    } else if partial.sum_sq_diff == 0.0 {
        // Equal vectors: the quotient of rounded sums may be a bit off 1.
        Some(1.0)
    } else {
        Some((partial.dot / norms).clamp(-1.0, 1.0))
    }
}

/// Variances from sums of squares lose digits where the mean is large; below this share of the mean square nothing is
/// left of them.
const LEAST_VARIANCE: f64 = 1e-12;

fn pearson(partial: &Partial) -> Option<f64> {
    let n = partial.finite as f64;
    let variance = |sum: f64, squares: f64| {
        let variance = squares - sum * sum / n;
        (variance.is_finite() && variance > LEAST_VARIANCE * squares).then_some(variance)
    };
    let reference = variance(partial.sum_reference, partial.sum_sq_reference)?;
    let candidate = variance(partial.sum_candidate, partial.sum_sq_candidate)?;
    if partial.sum_sq_diff == 0.0 {
        return Some(1.0);
    }
    // r = cov / (σ_a σ_b) with 2 cov = σ_a² + σ_b² − σ_d², solved for 1 − r: where the two sides nearly agree, σ_d² has all
    // the digits that the covariance, a small difference of large sums, has lost.
    let mean_diff = (partial.sum_candidate - partial.sum_reference) / n;
    let of_differences = partial.sum_sq_diff - mean_diff * mean_diff * n;
    let (reference, candidate) = (reference.sqrt(), candidate.sqrt());
    let apart = (reference - candidate).powi(2);
    Some((1.0 - (of_differences - apart) / (2.0 * reference * candidate)).clamp(-1.0, 1.0))
}
