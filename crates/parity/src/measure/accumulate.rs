//! Blocks one after the other into one partial result.

use super::careful;
use super::kernel::Kernel;
use super::lanes::*;
use super::partial::{BLOCK, Partial, Range};
use super::ulp::Ulp;
use crate::tensor::Block;

/// Adds blocks in index order.
pub(super) struct Run {
    kernel: Kernel,
    ulp: Option<Ulp>,
    partial: Partial,
    watch: Watch,
    exponents: [[u8; COLUMNS]; BLOCK / COLUMNS],
    wide: [Vec<f64>; 2],
}

impl Run {
    pub(super) fn new(kernel: Kernel, ulp: Option<Ulp>) -> Self {
        Self {
            kernel,
            ulp,
            partial: Partial::default(),
            watch: Watch::default(),
            exponents: [[0; COLUMNS]; BLOCK / COLUMNS],
            wide: [Vec::new(), Vec::new()],
        }
    }

    /// Adds up to [`BLOCK`] elements from row-major index `first` on.
    ///
    /// # Panics
    ///
    /// When the two blocks differ in length or hold more.
    pub(super) fn add(&mut self, reference: Block<'_>, candidate: Block<'_>, first: u64) {
        if let (Block::F32(a), Block::F32(b)) = (reference, candidate)
            && self.ulp.is_none_or(Ulp::fits_f32)
            && self.add_ordinary(a, b, first)
        {
            return;
        }
        let [mut a, mut b] = std::mem::take(&mut self.wide);
        let pair = (widened(reference, &mut a), widened(candidate, &mut b));
        assert_eq!(
            pair.0.len(),
            pair.1.len(),
            "blocks of a pair have one length"
        );
        let added = careful::add(pair, first, self.ulp, &mut self.watch);
        self.partial.merge(&added);
        self.wide = [a, b];
    }

    /// False, with nothing done, where the block holds NaN, infinity or what is nearly infinite.
    fn add_ordinary(&mut self, a: &[f32], b: &[f32], first: u64) -> bool {
        assert!(
            a.len() == b.len() && a.len() <= BLOCK,
            "blocks of a pair have one length"
        );
        let before = self.watch;
        let mut lanes = Lanes::new();
        let (rows_a, tail_a) = a.as_chunks::<COLUMNS>();
        let (rows_b, tail_b) = b.as_chunks::<COLUMNS>();
        let whole = rows_a.len();
        self.kernel.rows(
            (rows_a, rows_b),
            first,
            self.ulp,
            &mut lanes,
            &mut self.watch,
            &mut self.exponents,
        );
        let (mut min, mut max) = (lanes.min, lanes.max);
        if !tail_a.is_empty() {
            // Zeros in the rest of the last row change nothing but the ranges.
            let mut padded = [[0.0; COLUMNS]; 2];
            for (side, tail) in [tail_a, tail_b].into_iter().enumerate() {
                padded[side][..tail.len()].copy_from_slice(tail);
                for (c, value) in tail.iter().enumerate() {
                    min[side][c] = if *value < min[side][c] {
                        *value
                    } else {
                        min[side][c]
                    };
                    max[side][c] = if *value > max[side][c] {
                        *value
                    } else {
                        max[side][c]
                    };
                }
            }
            self.kernel.rows(
                (&padded[..1], &padded[1..]),
                first + (whole * COLUMNS) as u64,
                self.ulp,
                &mut lanes,
                &mut self.watch,
                &mut self.exponents[whole..],
            );
        }
        if !lanes.is_ordinary() {
            self.watch = before;
            return false;
        }
        self.take(&lanes, [min, max], a.len());
        true
    }

    fn take(&mut self, lanes: &Lanes, [min, max]: [[Row; 2]; 2], elements: usize) {
        let partial = &mut self.partial;
        partial.elements += elements as u64;
        partial.finite += elements as u64;
        partial.different += lanes.different;
        partial.sign_disagreements += lanes.opposite;
        let sum = |which: usize| reduce(&lanes.sums[which]);
        partial.sum_abs_diff += sum(ABS_DIFF);
        partial.sum_sq_diff += sum(SQ_DIFF);
        partial.sum_sq_reference += sum(SQ_REFERENCE);
        partial.sum_sq_candidate += sum(SQ_CANDIDATE);
        partial.dot += sum(DOT);
        partial.sum_reference += sum(REFERENCE);
        partial.sum_candidate += sum(CANDIDATE);
        let ulp = lanes.ulp.iter().copied().max().unwrap_or(0);
        partial.max_ulp = partial.max_ulp.max(u64::from(ulp));
        let range = |side: usize, range: &mut Range| {
            range.add(f64::from(
                min[side].iter().copied().fold(f32::INFINITY, f32::min),
            ));
            range.add(f64::from(
                max[side].iter().copied().fold(f32::NEG_INFINITY, f32::max),
            ));
        };
        if elements > 0 {
            range(0, &mut partial.reference_range);
            range(1, &mut partial.candidate_range);
        }
        self.kernel.count(
            &self.exponents.as_flattened()[..elements],
            partial.diff_histogram.counts_mut(),
        );
    }

    /// What all blocks add up to. By reference: moving all this would cost more than ten elements do.
    pub(super) fn finish(&mut self) -> Partial {
        let worst = &self.watch.worst;
        self.partial.worst.merge(worst);
        self.partial.max_rel_diff = self.watch.max_rel;
        self.partial.max_abs_diff = worst
            .elements()
            .first()
            .map_or(0.0, |element| element.difference());
        std::mem::take(&mut self.partial)
    }
}

fn widened<'b>(block: Block<'b>, buffer: &'b mut Vec<f64>) -> &'b [f64] {
    match block {
        Block::F64(wide) => wide,
        Block::F32(narrow) => {
            buffer.clear();
            buffer.extend(narrow.iter().copied().map(f64::from));
            buffer
        }
    }
}
