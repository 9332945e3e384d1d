//! Running sums over the blocks of a tensor.

use super::{BLOCK, COLUMNS, PROJECTIONS, ROWS, Sketch, Stats, block};
use crate::tensor::{Element, TensorView};

/// Partial sums, one a column, of everything that is summed.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Sums {
    pub(super) projections: [[f64; COLUMNS]; ROWS],
    pub(super) sum: [f64; COLUMNS],
    pub(super) squares: [f64; COLUMNS],
    pub(super) min: [f64; COLUMNS],
    pub(super) max: [f64; COLUMNS],
    pub(super) nans: u64,
    pub(super) infs: u64,
    pub(super) zeros: u64,
    /// Blocks so far, modulo 2^32.
    pub(super) blocks: u32,
}

impl Sums {
    pub(super) fn new() -> Self {
        Self {
            projections: [[0.0; COLUMNS]; ROWS],
            sum: [0.0; COLUMNS],
            squares: [0.0; COLUMNS],
            min: [f64::INFINITY; COLUMNS],
            max: [f64::NEG_INFINITY; COLUMNS],
            nans: 0,
            infs: 0,
            zeros: 0,
            blocks: 0,
        }
    }
}

/// Takes a tensor's elements in order and gives its statistics and sketch.
#[derive(Clone, Debug)]
pub struct Accumulator {
    sums: Sums,
    elements: u64,
}

/// Blocks between two tests for non-finite elements: few enough to go over again in the first-level cache, many
/// enough that keeping the sums before costs nothing.
const GROUP: usize = 16;

/// Elements converted at a time; a multiple of the block that stays in the first-level cache.
const CONVERTED: usize = 8 * BLOCK;

impl Accumulator {
    fn new() -> Self {
        Self {
            sums: Sums::new(),
            elements: 0,
        }
    }

    /// Adds elements. All calls but the last must bring a multiple of [`BLOCK`].
    pub(crate) fn push_f32(&mut self, elements: &[f32]) {
        self.elements += elements.len() as u64;
        let (blocks, rest) = elements.as_chunks::<BLOCK>();
        for group in blocks.chunks(GROUP) {
            // Non-finite elements are rare, and the sum of squares shows them (a square of a finite `f32` cannot
            // overflow it): so try without a test of each element, and go back if there were any.
            let before = self.sums.clone();
            add_finite(&mut self.sums, group);
            if !self.sums.squares.iter().all(|squares| squares.is_finite()) {
                self.sums = before;
                for block in group {
                    self.push_block(&block.map(f64::from));
                }
            }
        }
        self.push_rest(rest);
    }

    /// Adds a last, incomplete block: filled up with zeros, which add nothing to the sums, are no extremes, and are
    /// not counted.
    fn push_rest(&mut self, rest: &[f32]) {
        if rest.is_empty() {
            return;
        }
        let mut block = [0.0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        let before = self.sums.clone();
        add_finite(&mut self.sums, std::slice::from_ref(&block));
        if self.sums.squares.iter().all(|squares| squares.is_finite()) {
            self.sums.zeros -= (BLOCK - rest.len()) as u64;
            (self.sums.min, self.sums.max) = (before.min, before.max);
            let (rows, last) = rest.as_chunks::<COLUMNS>();
            rows.iter().for_each(|row| self.extremes(row));
            self.extremes(last);
        } else {
            self.sums = before;
            block::add_odd(&mut self.sums, &block.map(f64::from)[..rest.len()]);
        }
    }

    /// Takes finite elements of one row into account.
    #[inline(always)]
    fn extremes(&mut self, row: &[f32]) {
        let bounds = self.sums.min.iter_mut().zip(&mut self.sums.max);
        for ((min, max), value) in bounds.zip(row) {
            let value = f64::from(*value);
            *min = if value < *min { value } else { *min };
            *max = if value > *max { value } else { *max };
        }
    }

    /// As [`push_f32`](Self::push_f32).
    pub(crate) fn push_f64(&mut self, elements: &[f64]) {
        self.elements += elements.len() as u64;
        let (blocks, rest) = elements.as_chunks::<BLOCK>();
        for full in blocks {
            self.push_block(full);
        }
        if !rest.is_empty() {
            block::add_odd(&mut self.sums, rest);
        }
    }

    fn push_block(&mut self, full: &[f64; BLOCK]) {
        if !block::add(&mut self.sums, full) {
            block::add_odd(&mut self.sums, full);
        }
    }

    /// As [`push_f32`](Self::push_f32), for elements that `convert` turns into `f32` exactly.
    pub(crate) fn push_as_f32<T>(&mut self, elements: &[T], convert: impl Fn(&[T], &mut [f32])) {
        let mut converted = [0.0; CONVERTED];
        for chunk in elements.chunks(CONVERTED) {
            convert(chunk, &mut converted[..chunk.len()]);
            self.push_f32(&converted[..chunk.len()]);
        }
    }

    /// As [`push_f32`](Self::push_f32), for elements that `convert` turns into the nearest `f64`.
    pub(crate) fn push_as_f64<T: Copy>(&mut self, elements: &[T], convert: impl Fn(T) -> f64) {
        let mut converted = [0.0; BLOCK];
        for chunk in elements.chunks(BLOCK) {
            converted
                .iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = convert(*from));
            self.push_f64(&converted[..chunk.len()]);
        }
    }

    fn finish(&self) -> (Stats, Sketch) {
        let sums = &self.sums;
        let finite = (self.elements - sums.nans - sums.infs) as f64;
        let defined = |value: f64| if finite > 0.0 { value } else { f64::NAN };
        let least = sums.min.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = sums.max.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let stats = Stats {
            n: self.elements,
            nan: sums.nans,
            inf: sums.infs,
            zero: sums.zeros,
            // Adding 0.0 turns -0.0 into 0.0: which zero came first must not show.
            min: defined(least + 0.0),
            max: defined(greatest + 0.0),
            mean: defined(fold(sums.sum) / finite),
            rms: defined((fold(sums.squares) / finite).sqrt()),
        };
        let mut sketch = Sketch {
            s: [0.0; PROJECTIONS],
        };
        for (sum, columns) in sketch.s.iter_mut().zip(&sums.projections) {
            *sum = fold(*columns);
        }
        (stats, sketch)
    }
}

/// The sum of the columns, halves onto halves.
fn fold(mut columns: [f64; COLUMNS]) -> f64 {
    for distance in [8, 4, 2, 1] {
        for column in 0..distance {
            columns[column] += columns[column + distance];
        }
    }
    columns[0]
}

/// Statistics and sketch of all elements of a view, in logical order.
pub(crate) fn summarize<T: Element>(view: &TensorView<'_, T>) -> (Stats, Sketch) {
    let mut accumulator = Accumulator::new();
    let infallible: Result<(), std::convert::Infallible> = view.try_chunks(|chunk| {
        T::accumulate(chunk, &mut accumulator);
        Ok(())
    });
    match infallible {
        Ok(()) => accumulator.finish(),
    }
}

/// Adds blocks of finite elements with the fastest code that this processor runs.
fn add_finite(sums: &mut Sums, blocks: &[[f32; BLOCK]]) {
    #[cfg(target_arch = "x86_64")]
    if super::x86::add_finite(sums, blocks) {
        return;
    }
    for full in blocks {
        block::add_finite(sums, &full.map(f64::from));
    }
}
