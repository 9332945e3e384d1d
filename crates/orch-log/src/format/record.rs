//! A record read back.

use super::{Dtype, PayloadRef, Shard};
use crate::summary::{Sketch, Stats};

/// One record of a trace, as read.
///
/// The fields hold what the line says; whether it makes sense (shape against number of values, token
/// axis against number of axes) is for the reader to judge.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Who logged.
    pub team: String,
    /// Absolute 0-based position of the first token.
    pub token_idx: i64,
    /// Storage type before logging.
    pub dtype: Dtype,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// The first elements in row-major order. Exact: the text of an `f32` is read as `f32`, then
    /// widened. Integers beyond ±2^53 round to nearest.
    pub values: Vec<f64>,
    /// Token positions covered; 1 when the field is absent.
    pub n_tokens: usize,
    /// Whether the line has the field `n_tokens`.
    pub has_n_tokens: bool,
    /// Forward pass, 0 = prefill.
    pub step: Option<u64>,
    /// Sequence in a batch.
    pub seq: u64,
    /// How many records of this name the step already had.
    pub occurrence: u64,
    /// The axis that holds the tokens.
    pub token_axis: usize,
    /// Process in a group.
    pub rank: Option<u64>,
    /// Processes in the group.
    pub world: Option<u64>,
    /// Slice of a tensor-parallel run; rank and world default to index and count.
    pub shard: Option<Shard>,
    /// Producing operation.
    pub op: Option<String>,
    /// Names of its inputs.
    pub src: Vec<String>,
    /// Statistics over all elements.
    pub stats: Option<Stats>,
    /// Sketch of all elements.
    pub sketch: Option<Sketch>,
    /// Where all elements are.
    pub payload: Option<PayloadRef>,
    /// Nanoseconds since 1970.
    pub ts_ns: Option<u64>,
    /// Which part of the engine logged.
    pub source: Option<String>,
    /// Source file of the logging call.
    pub file: Option<String>,
    /// Source line of the logging call.
    pub line: Option<u32>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            checkpoint: String::new(),
            team: String::new(),
            token_idx: 0,
            dtype: Dtype::F32,
            shape: Vec::new(),
            values: Vec::new(),
            n_tokens: 1,
            has_n_tokens: false,
            step: None,
            seq: 0,
            occurrence: 0,
            token_axis: 0,
            rank: None,
            world: None,
            shard: None,
            op: None,
            src: Vec::new(),
            stats: None,
            sketch: None,
            payload: None,
            ts_ns: None,
            source: None,
            file: None,
            line: None,
        }
    }
}

impl Record {
    /// Number of elements that the shape promises, or `None` on overflow.
    pub fn len(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |len, dim| len.checked_mul(*dim))
    }

    /// True when the shape promises no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Back to the defaults, keeping the memory of the fields that every record fills.
    pub(crate) fn reset(&mut self) {
        let (mut checkpoint, mut team) = (
            std::mem::take(&mut self.checkpoint),
            std::mem::take(&mut self.team),
        );
        let (mut shape, mut values) = (
            std::mem::take(&mut self.shape),
            std::mem::take(&mut self.values),
        );
        checkpoint.clear();
        team.clear();
        shape.clear();
        values.clear();
        *self = Self {
            checkpoint,
            team,
            shape,
            values,
            ..Self::default()
        };
    }
}
