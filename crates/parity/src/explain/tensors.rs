//! Where a scene's tensors come from.

use crate::tensor::Dense;
use std::ops::Range;

/// The tensors of one sequence of one trace.
pub trait Tensors {
    /// All checkpoint names.
    fn names(&self) -> Vec<String>;

    /// The passes in which a checkpoint was computed, as token positions.
    fn passes(&self, checkpoint: &str) -> Vec<Range<i64>>;

    /// All elements of a checkpoint for a range of positions, axis 0 being the positions; `None` where they were not
    /// all captured.
    fn rows(&self, checkpoint: &str, tokens: Range<i64>) -> Option<Dense>;
}
