//! Sums of one block in sixteen columns: what every kernel fills in, and in which order it is added up.

use super::element::{Element, Worst};
use super::partial::MIN_DENOMINATOR;

/// Columns of a block: element k belongs to column k mod 16, enough for the widest vectors.
pub(super) const COLUMNS: usize = 16;

/// One row of a block.
pub(super) type Row = [f32; COLUMNS];

/// Σ |d|, d = candidate − reference in f64.
pub(super) const ABS_DIFF: usize = 0;
/// Σ d².
pub(super) const SQ_DIFF: usize = 1;
/// Σ reference².
pub(super) const SQ_REFERENCE: usize = 2;
/// Σ candidate².
pub(super) const SQ_CANDIDATE: usize = 3;
/// Σ reference · candidate.
pub(super) const DOT: usize = 4;
/// Σ reference.
pub(super) const REFERENCE: usize = 5;
/// Σ candidate.
pub(super) const CANDIDATE: usize = 6;

/// Sums kept for each column.
pub(super) const SUMS: usize = 7;

/// A block with a sum of squares from here on in a column holds NaN, infinity, or numbers beyond 2¹²⁶: the kernels
/// leave it to the careful path, so that no difference and no product of theirs overflows.
pub(super) const CAREFUL_FROM: f64 = f64::from_bits((1023 + 252) << 52);

/// What a block adds up to, column by column.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    pub(super) sums: [[f64; COLUMNS]; SUMS],
    pub(super) min: [Row; 2],
    pub(super) max: [Row; 2],
    pub(super) ulp: [u32; COLUMNS],
    pub(super) different: u64,
    pub(super) opposite: u64,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            sums: [[0.0; COLUMNS]; SUMS],
            min: [[f32::INFINITY; COLUMNS]; 2],
            max: [[f32::NEG_INFINITY; COLUMNS]; 2],
            ulp: [0; COLUMNS],
            different: 0,
            opposite: 0,
        }
    }

    /// True where the kernels could compute this block.
    pub(super) fn is_ordinary(&self) -> bool {
        let small = |sum: &f64| *sum < CAREFUL_FROM;
        self.sums[SQ_REFERENCE].iter().all(small) && self.sums[SQ_CANDIDATE].iter().all(small)
    }
}

/// The sum of the columns, in the order that all kernels share: column c and c + 8, then + 4, + 2, + 1.
pub(super) fn reduce(columns: &[f64; COLUMNS]) -> f64 {
    let mut sums = *columns;
    for half in [8, 4, 2, 1] {
        for column in 0..half {
            sums[column] += sums[column + half];
        }
    }
    sums[0]
}

/// The finite elements that stand out so far.
///
/// Kernels ask first, in f32 and with a margin, whether an element could: what they pass on is decided here, so that
/// all of them keep the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    pub(super) worst: Worst,
    pub(super) max_rel: f64,
}

/// Smaller than 1 by more than the roundings of an f32 difference, product and denominator.
const MARGIN: f64 = 1.0 - 1.0 / (1 << 20) as f64;

impl Watch {
    /// Takes in one finite element.
    #[inline]
    pub(super) fn see(&mut self, element: Element) {
        let difference = (element.candidate - element.reference).abs();
        if difference > self.worst.smallest() {
            self.worst.offer(element);
        }
        let relative = difference / element.reference.abs().max(MIN_DENOMINATOR);
        if relative > self.max_rel {
            self.max_rel = relative;
        }
    }

    /// An f32 difference that is not larger cannot be among the worst.
    pub(super) fn worst_from(&self) -> f32 {
        below(self.worst.smallest())
    }

    /// An f32 difference that is not larger than this times max(|reference|, 1e-8) is not the largest relative one.
    pub(super) fn relative_from(&self) -> f32 {
        below(self.max_rel)
    }
}

fn below(number: f64) -> f32 {
    (number * MARGIN).min(f64::from(f32::MAX)) as f32
}
