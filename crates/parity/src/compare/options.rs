//! What a comparison can be told.

use crate::align::maps::Choice;
use crate::judge::Criterion;
use orch_log::Filter;

/// Settings of a comparison.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which checkpoints are compared. Default: all.
    pub filter: Filter,
    /// What counts as more than rounding. Default: the noise measured for the models' weights.
    pub criterion: Criterion,
    /// How many of the worst checkpoints are kept with their values. Default: 5.
    pub top: usize,
    /// Added to the candidate's positions. `Some(0)` says that both count from the same origin. Default: `None`, not
    /// known.
    pub token_offset: Option<i64>,
    /// Whose names the reference has. Default: a shipped map where the names say which.
    pub reference_map: Choice,
    /// Whose names the candidate has. Default: a shipped map where the names say which.
    pub candidate_map: Choice,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            criterion: Criterion::default(),
            top: 5,
            token_offset: None,
            reference_map: Choice::default(),
            candidate_map: Choice::default(),
        }
    }
}
