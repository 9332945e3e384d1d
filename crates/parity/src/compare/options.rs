//! What a comparison can be told.

use crate::align::maps::Choice;
use crate::judge::{Calibration, Criterion, Tolerances};
use orch_log::Filter;
use std::sync::Arc;

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
    /// Least share of the reference's records that must be compared, in percent. Default: `None`, any.
    pub min_coverage: Option<f64>,
    /// Whose names the reference has. Default: a shipped map where the names say which.
    pub reference_map: Choice,
    /// Whose names the candidate has. Default: a shipped map where the names say which.
    pub candidate_map: Choice,
    /// Whether the report holds a line for every pair, which timelines and heat maps need. Default: no.
    pub cells: bool,
    /// Of how many checkpoints the worst pair is looked at closely: histograms, errors along the axes. Each costs reading
    /// its tensors again. Default: 0.
    pub inspect: usize,
    /// Noise measured between reference runs, instead of the model of noise. Default: none.
    pub calibration: Option<Arc<Calibration>>,
    /// Limits of single checkpoints. Default: none.
    pub tolerances: Tolerances,
    /// `drift` fails too. Default: it does not.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            criterion: Criterion::default(),
            top: 5,
            token_offset: None,
            min_coverage: None,
            reference_map: Choice::default(),
            candidate_map: Choice::default(),
            cells: false,
            inspect: 0,
            calibration: None,
            tolerances: Tolerances::default(),
            strict: false,
        }
    }
}
