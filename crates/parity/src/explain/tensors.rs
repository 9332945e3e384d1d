//! Where a scene's tensors come from.

use super::Outline;
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

    /// What a record without a payload says of a checkpoint in one pass; `None` where nothing was logged of it.
    fn outline(&self, _checkpoint: &str, _pass: Range<i64>) -> Option<Outline> {
        None
    }

    /// The model's architecture as its file names it, where the run says so.
    fn architecture(&self) -> Option<String> {
        None
    }
}
