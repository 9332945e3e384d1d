//! What one run of elements contributes, and how contributions merge.

use super::element::{Element, Worst};

/// Elements of one partial result.
///
/// Sums in f64 depend on the order of addition. Blocks of a fixed size, merged in index order, give
/// the same figures whoever computes them and on however many threads.
pub const BLOCK: usize = 4096;

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
    fn add(&mut self, value: f64) {
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
    /// max |candidate − reference|.
    pub max_abs_diff: f64,
    /// max |candidate − reference| / max(|reference|, 1e-8).
    pub max_rel_diff: f64,
    /// Finite values of the reference.
    pub reference_range: Range,
    /// Finite values of the candidate.
    pub candidate_range: Range,
    /// The elements with the largest differences.
    pub worst: Worst,
}

/// The smallest denominator of a relative difference, so that a reference of zero gives a number.
///
/// # Source
///
/// The comparison specification: denominator max(|reference|, 1e-8).
pub const MIN_DENOMINATOR: f64 = 1e-8;

impl Partial {
    /// The contribution of one block: `reference[k]` and `candidate[k]` are the elements at row-major
    /// index `first_index + k`.
    ///
    /// # Panics
    ///
    /// When the two slices differ in length.
    pub fn of_block(reference: &[f64], candidate: &[f64], first_index: u64) -> Self {
        assert_eq!(
            reference.len(),
            candidate.len(),
            "blocks of a pair have one length"
        );
        let mut partial = Self {
            elements: reference.len() as u64,
            ..Self::default()
        };
        for (offset, (a, b)) in reference
            .iter()
            .copied()
            .zip(candidate.iter().copied())
            .enumerate()
        {
            let element = Element {
                index: first_index + offset as u64,
                reference: a,
                candidate: b,
            };
            partial.different +=
                u64::from(a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()));
            partial.count_values(a, b);
            if !a.is_finite() || !b.is_finite() {
                if element.difference() != 0.0 {
                    partial.mismatched_non_finite += 1;
                    partial.worst.offer(element);
                }
                continue;
            }
            let difference = (b - a).abs();
            partial.finite += 1;
            partial.sum_abs_diff += difference;
            partial.sum_sq_diff += difference * difference;
            partial.sum_sq_reference += a * a;
            partial.sum_sq_candidate += b * b;
            partial.dot += a * b;
            partial.max_abs_diff = partial.max_abs_diff.max(difference);
            partial.max_rel_diff = partial
                .max_rel_diff
                .max(difference / a.abs().max(MIN_DENOMINATOR));
            if !partial.worst.is_full_of_larger(difference) {
                partial.worst.offer(element);
            }
        }
        partial
    }

    fn count_values(&mut self, reference: f64, candidate: f64) {
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
        self.sum_abs_diff += later.sum_abs_diff;
        self.sum_sq_diff += later.sum_sq_diff;
        self.sum_sq_reference += later.sum_sq_reference;
        self.sum_sq_candidate += later.sum_sq_candidate;
        self.dot += later.dot;
        self.max_abs_diff = self.max_abs_diff.max(later.max_abs_diff);
        self.max_rel_diff = self.max_rel_diff.max(later.max_rel_diff);
        self.reference_range.merge(later.reference_range);
        self.candidate_range.merge(later.candidate_range);
        self.worst.merge(&later.worst);
    }
}
