//! The first divergence and the errors of its inputs.

use super::blame::{InputError, LocalError};
use super::detail::Detail;

/// The first pair in dataflow order whose operation adds more than rounding.
#[derive(Clone, Debug)]
pub struct First {
    pub(crate) detail: Detail,
    pub(crate) inputs: Vec<InputError>,
    pub(crate) local: Option<LocalError>,
}

impl First {
    /// The pair.
    pub fn detail(&self) -> &Detail {
        &self.detail
    }

    /// What its operation adds; `None` where a threshold or bands decide.
    pub fn local(&self) -> Option<LocalError> {
        self.local
    }

    /// The errors of what the pair was computed from: its `src`, or else the nearest captured checkpoints before it
    /// in the canonical order.
    pub fn inputs(&self) -> &[InputError] {
        &self.inputs
    }
}
