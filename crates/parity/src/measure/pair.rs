//! One pair of tensors measured with the best evidence that both records have.

use super::basis::Basis;
use super::bound::{StatsBound, stats_bound};
use super::elements::measure_elements;
use super::logits::Logits;
use super::metrics::{Metrics, ratio};
use super::partial::Partial;
use super::sketch::{Norms, SketchEstimate, estimate_with_norms};
use super::ulp::Ulp;
use crate::error::Error;
use crate::tensor::{Numbers, Region};
use orch_log::format::{Dtype, Sketch, Stats};

/// What one record says about its tensor.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The elements: the payload's, or the values of the record itself.
    pub numbers: &'a dyn Numbers,
    /// Statistics over the whole tensor.
    pub stats: Option<&'a Stats>,
    /// Sketch of the whole tensor.
    pub sketch: Option<&'a Sketch>,
    /// The storage type before logging: the candidate's is the one in whose last places distances are counted.
    pub dtype: Dtype,
}

/// The figures of one pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Sums, ranges and worst elements over the elements that could be read on both sides.
    pub partial: Box<Partial>,
    /// Figures over those elements; `None` where no two finite values met.
    pub metrics: Option<Metrics>,
    /// What `partial` and `metrics` rest on.
    pub basis: Basis,
    /// The best known NMSE of what was to be compared; infinite where non-finite values do not match.
    pub nmse: f64,
    /// What `nmse` rests on.
    pub nmse_basis: Basis,
    /// The best known cosine similarity; it rests on the sketch where `basis` is not exact and both have one.
    pub cosine: Option<f64>,
    /// The largest absolute difference known of; infinite where non-finite values do not match.
    /// `None` where neither elements nor statistics were in common.
    pub max_abs_diff: Option<f64>,
    /// Elements where a NaN or infinity meets anything but its like, as far as known.
    pub mismatched_non_finite: u64,
    /// True where everything that both records hold is bit-identical.
    pub identical: bool,
    /// What it does to the next token; only for logits of which whole rows are there.
    pub logits: Option<Box<Logits>>,
}

/// Measures the elements of `region`; `None` where the two records have no evidence in common.
///
/// Elements win over a sketch, a sketch over a first few elements; what statistics prove beyond that is
/// added. The first few elements keep their own figures in `metrics`.
///
/// # Errors
///
/// When a payload cannot be read.
pub fn measure(
    reference: &Evidence<'_>,
    candidate: &Evidence<'_>,
    region: &Region,
) -> Result<Option<Measured>, Error> {
    let total = region.count();
    let ulp = Ulp::of(candidate.dtype);
    let partial = measure_elements(reference.numbers, candidate.numbers, region, ulp)?;
    let partial = Box::new(partial);
    let exact = partial.elements == total;
    let whole = region.is_whole();
    let stats = reference
        .stats
        .zip(candidate.stats)
        .filter(|_| whole && !exact);
    let sketch = reference
        .sketch
        .zip(candidate.sketch)
        .filter(|_| whole && !exact)
        .and_then(|(a, b)| estimate_with_norms(&a.s, &b.s, stats.and_then(norms)));
    let bound = stats.and_then(|(a, b)| stats_bound(a, b));
    if total == 0 || partial.elements == 0 && sketch.is_none() && bound.is_none() {
        return Ok(None);
    }

    let basis = if exact {
        Basis::Exact { elements: total }
    } else {
        Basis::First {
            elements: partial.elements,
            of: total,
        }
    };
    let reference_rms = reference
        .stats
        .filter(|stats| !exact && stats.rms.is_finite() && stats.rms > 0.0)
        .map(|stats| stats.rms);
    let metrics = Metrics::of(&partial, reference_rms, ulp);
    let mismatched_non_finite = partial
        .mismatched_non_finite
        .max(bound.map_or(0, |bound| bound.mismatched_non_finite));
    let (nmse, nmse_basis) = if mismatched_non_finite > 0 {
        (f64::INFINITY, basis)
    } else {
        best_nmse(
            &partial,
            metrics.as_ref(),
            basis,
            sketch,
            bound,
            reference_rms,
            total,
        )
    };
    let stats_equal = stats.is_none_or(|(a, b)| same_stats(a, b));
    Ok(Some(Measured {
        max_abs_diff: max_abs_diff(metrics.as_ref(), bound, mismatched_non_finite),
        cosine: sketch.map_or(metrics.and_then(|metrics| metrics.cosine), |sketch| {
            sketch.cosine
        }),
        identical: partial.different == 0
            && sketch.is_none_or(|sketch| sketch.identical)
            && stats_equal,
        partial,
        metrics,
        basis,
        nmse,
        nmse_basis,
        mismatched_non_finite,
        logits: None,
    }))
}

/// The squared relative error that says most, and what it rests on.
fn best_nmse(
    partial: &Partial,
    metrics: Option<&Metrics>,
    basis: Basis,
    sketch: Option<SketchEstimate>,
    bound: Option<StatsBound>,
    reference_rms: Option<f64>,
    total: u64,
) -> (f64, Basis) {
    let seen = metrics.map_or(0.0, |metrics| metrics.nmse);
    if basis.is_exact() {
        return (seen, basis);
    }
    // What the seen elements alone contribute to the whole tensor's error is certain.
    let contributed = reference_rms.map_or(0.0, |rms| {
        ratio(partial.sum_sq_diff / total as f64, rms * rms)
    });
    let proven = bound.map_or(0.0, |bound| bound.nmse).max(contributed);
    let (estimate, estimate_basis) = match sketch {
        Some(sketch) => (
            sketch.nmse,
            Basis::Sketch {
                plus_minus: sketch.plus_minus,
                of: total,
            },
        ),
        None => (seen, basis),
    };
    if proven > estimate {
        (proven, Basis::AtLeast { of: total })
    } else {
        (estimate, estimate_basis)
    }
}

fn max_abs_diff(
    metrics: Option<&Metrics>,
    bound: Option<StatsBound>,
    mismatched: u64,
) -> Option<f64> {
    if mismatched > 0 {
        return Some(f64::INFINITY);
    }
    let seen = metrics.map(|metrics| metrics.max_abs_diff);
    let proven = bound.map(|bound| bound.max_abs_diff);
    match (seen, proven) {
        (Some(seen), Some(proven)) => Some(seen.max(proven)),
        (seen, proven) => seen.or(proven),
    }
}

fn norms((reference, candidate): (&Stats, &Stats)) -> Option<Norms> {
    let finite = reference.nan + reference.inf + candidate.nan + candidate.inf == 0;
    (finite && reference.n == candidate.n).then(|| {
        let root = (reference.n as f64).sqrt();
        Norms {
            reference: reference.rms * root,
            candidate: candidate.rms * root,
        }
    })
}

fn same_stats(a: &Stats, b: &Stats) -> bool {
    let counts = (a.n, a.nan, a.inf, a.zero) == (b.n, b.nan, b.inf, b.zero);
    let same = |x: f64, y: f64| x == y || x.is_nan() && y.is_nan();
    counts && same(a.min, b.min) && same(a.max, b.max) && same(a.mean, b.mean) && same(a.rms, b.rms)
}
