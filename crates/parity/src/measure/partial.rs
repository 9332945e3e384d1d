//! What one run of elements contributes, and how contributions merge.

use super::accumulate::Run;
use super::element::Worst;
use super::histogram::DiffHistogram;
use super::kernel::Kernel;
use super::ulp::Ulp;
use crate::tensor::{Block, narrowed};

/// Elements of one partial result.
///
/// Sums in f64 depend on the order of addition. Blocks of a fixed size, merged in index order, give
/// the same figures whoever computes them and on however many threads.
pub const BLOCK: usize = 4096;

/// Blocks that are merged one after the other; the results are merged in turn. Threads take whole groups.
pub const GROUP: usize = 256;

/// The smallest and largest finite value seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Smallest finite value; `+∞` before the first one.
    pub min: f64,
    /// Largest finite value; `−∞` before the first one.
    pub max: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Range {
    pub(super) fn add(&mut self, value: f64) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn merge(&mut self, other: Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// True where no finite value was seen.
    pub fn is_empty(&self) -> bool {
        self.min > self.max
    }
}

/// Sums over the elements of one block, or of several merged ones.
///
/// # NaN and infinity
///
/// Settled before any difference is taken: two NaN agree, two equal infinities agree, every other
/// pair with a non-finite value counts as mismatched. None of them enters a sum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    /// Elements looked at.
    pub elements: u64,
    /// Elements where both values are finite; the sums are over these.
    pub finite: u64,
    /// Elements that are NaN in the reference and in the candidate.
    pub nan: [u64; 2],
    /// Elements that are infinite in the reference and in the candidate.
    pub infinite: [u64; 2],
    /// Elements where a NaN or infinity meets anything but its like.
    pub mismatched_non_finite: u64,
    /// Elements whose values are not the same bits (any two NaN count as the same).
    pub different: u64,
    /// Elements where one value is positive and the other negative.
    pub sign_disagreements: u64,
    /// Σ |candidate − reference|.
    pub sum_abs_diff: f64,
    /// Σ (candidate − reference)².
    pub sum_sq_diff: f64,
    /// Σ reference².
    pub sum_sq_reference: f64,
    /// Σ candidate².
    pub sum_sq_candidate: f64,
    /// Σ reference · candidate.
    pub dot: f64,
    /// Σ reference.
    pub sum_reference: f64,
    /// Σ candidate.
    pub sum_candidate: f64,
    /// max |candidate − reference|.
    pub max_abs_diff: f64,
    /// max |candidate − reference| / max(|reference|, 1e-8).
    pub max_rel_diff: f64,
    /// Largest distance in units of the last place; 0 where it was not asked for.
    pub max_ulp: u64,
    /// Finite values of the reference.
    pub reference_range: Range,
    /// Finite values of the candidate.
    pub candidate_range: Range,
    /// The elements with the largest differences.
    pub worst: Worst,
    /// |candidate − reference| by powers of two.
    pub diff_histogram: DiffHistogram,
}

/// The smallest denominator of a relative difference, so that a reference of zero gives a number.
///
/// # Source
///
/// The comparison specification: denominator max(|reference|, 1e-8).
pub const MIN_DENOMINATOR: f64 = 1e-8;

impl Partial {
    /// The contribution of one block: `reference[k]` and `candidate[k]` are the elements at row-major
    /// index `first_index + k`. `ulp` is the format in whose steps distances are counted.
    ///
    /// # Panics
    ///
    /// When the two blocks differ in length or hold more than [`BLOCK`] elements.
    pub fn of_block(
        reference: Block<'_>,
        candidate: Block<'_>,
        first_index: u64,
        ulp: Option<Ulp>,
        kernel: Kernel,
    ) -> Self {
        let mut run = Run::new(kernel, ulp);
        run.add(reference, candidate, first_index);
        run.finish()
    }

    /// As [`Partial::of_block`] for any number of elements, with the fastest kernel and the steps of `f32`.
    ///
    /// # Panics
    ///
    /// When the two slices differ in length.
    pub fn of(reference: &[f64], candidate: &[f64], first_index: u64) -> Self {
        let mut run = Run::new(Kernel::best(), Some(Ulp::F32));
        let (mut a, mut b) = (Vec::new(), Vec::new());
        assert_eq!(reference.len(), candidate.len(), "a pair has one length");
        for (index, (x, y)) in reference
            .chunks(BLOCK)
            .zip(candidate.chunks(BLOCK))
            .enumerate()
        {
            let first = first_index + (index * BLOCK) as u64;
            run.add(narrowed(x, &mut a), narrowed(y, &mut b), first);
        }
        run.finish()
    }

    pub(super) fn count_values(&mut self, reference: f64, candidate: f64) {
        for (side, value) in [reference, candidate].into_iter().enumerate() {
            if value.is_nan() {
                self.nan[side] += 1;
            } else if value.is_infinite() {
                self.infinite[side] += 1;
            } else if side == 0 {
                self.reference_range.add(value);
            } else {
                self.candidate_range.add(value);
            }
        }
    }

    /// Adds the contribution of elements that come after all of this one's.
    pub fn merge(&mut self, later: &Self) {
        self.elements += later.elements;
        self.finite += later.finite;
        for side in 0..2 {
            self.nan[side] += later.nan[side];
            self.infinite[side] += later.infinite[side];
        }
        self.mismatched_non_finite += later.mismatched_non_finite;
        self.different += later.different;
        self.sign_disagreements += later.sign_disagreements;
        self.sum_abs_diff += later.sum_abs_diff;
        self.sum_sq_diff += later.sum_sq_diff;
        self.sum_sq_reference += later.sum_sq_reference;
        self.sum_sq_candidate += later.sum_sq_candidate;
        self.dot += later.dot;
        self.sum_reference += later.sum_reference;
        self.sum_candidate += later.sum_candidate;
        self.max_abs_diff = self.max_abs_diff.max(later.max_abs_diff);
        self.max_rel_diff = self.max_rel_diff.max(later.max_rel_diff);
        self.max_ulp = self.max_ulp.max(later.max_ulp);
        self.reference_range.merge(later.reference_range);
        self.candidate_range.merge(later.candidate_range);
        self.worst.merge(&later.worst);
        self.diff_histogram.merge(&later.diff_histogram);
    }
}
