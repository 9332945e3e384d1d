//! Statistics and sketch of all elements, in one pass.
//!
//! Elements go in blocks of 256, seen as 16 rows of 16 columns. Everything is accumulated per column, in the
//! order that `spec/trace-format.md` fixes, so that the portable and the vectorised code, and any other
//! conforming logger, give the same bits.

mod accumulator;
mod block;
mod signs;
mod sketch;
mod stats;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use accumulator::Accumulator;
pub(crate) use accumulator::summarize;
pub use sketch::{PROJECTIONS, Sketch};
pub use stats::Stats;

/// Elements in a block.
pub(crate) const BLOCK: usize = ROWS * COLUMNS;

/// Rows of a block: the size of the Walsh–Hadamard transform, and so the number of projections.
const ROWS: usize = PROJECTIONS;

/// Columns of a block: partial sums that are kept apart, enough for the widest vectors.
const COLUMNS: usize = 16;
