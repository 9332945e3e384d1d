//! One measured pair with all that a report shows of it.

use super::criterion::Limit;
use crate::align::layout::Undone;
use crate::align::{Key, Pair};
use crate::measure::{Measured, Spread};
use orch_log::format::Dtype;

/// What was measured of a pair.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The compared shape, outermost first.
    pub shape: Vec<usize>,
    /// Token positions that were compared.
    pub n_tokens: u64,
    /// How many of the first values that the records show belong to these positions.
    pub first_values: usize,
    /// The first values, where they are not simply those of the two records.
    pub values: Option<[Vec<f64>; 2]>,
    /// Differences of layout that were undone before.
    pub undone: Vec<Undone>,
    /// The figures.
    pub measured: Measured,
    /// How values and errors are spread, where that was asked for and elements are known.
    pub spread: Option<Box<Spread>>,
}

/// One measured pair with all that a report shows of it.
#[derive(Clone, Debug)]
pub struct Detail {
    /// Which pair.
    pub key: Key,
    /// Token positions that were compared.
    pub n_tokens: u64,
    /// Forward pass.
    pub step: Option<u64>,
    /// The compared shape, outermost first.
    pub shape: Vec<usize>,
    /// Storage types of reference and candidate.
    pub dtypes: [Dtype; 2],
    /// Operation, as the reference names it.
    pub op: Option<String>,
    /// The first values of reference and candidate.
    pub first_values: [Vec<f64>; 2],
    /// The figures.
    pub measured: Measured,
    /// The limit of its operation; `None` where bands decide.
    pub max_nmse: Option<f64>,
    /// Whether the limit is exceeded.
    pub above_limit: bool,
}

impl Detail {
    /// How many first values are kept: as many as a logger writes unless told otherwise.
    pub const FIRST_VALUES: usize = 10;

    /// Gathers what there is to show of a pair.
    pub(crate) fn of(pair: &Pair, compared: Compared, limit: &Limit) -> Self {
        let (reference, candidate) = (&pair.reference.record, &pair.candidate.record);
        let shown = compared.first_values.min(Self::FIRST_VALUES);
        let first = |values: &[f64]| values[..values.len().min(shown)].to_vec();
        Self {
            key: pair.key.clone(),
            n_tokens: compared.n_tokens,
            step: reference.step,
            shape: compared.shape,
            dtypes: [reference.dtype, candidate.dtype],
            op: reference.op.clone(),
            first_values: compared
                .values
                .unwrap_or_else(|| [first(&reference.values), first(&candidate.values)]),
            max_nmse: limit.max_nmse(&pair.key.checkpoint),
            above_limit: limit.is_exceeded(&pair.key.checkpoint, &compared.measured),
            measured: compared.measured,
        }
    }
}
