//! Traces that none of which is the reference.

use super::TraceSummary;
use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of several traces is the odd one out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vote {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// Version of the program that compared.
    pub parity_version: String,
    /// `agree`, `odd one out`, `no majority` or `not comparable`.
    pub verdict: String,
    /// 0, 1, 1 or 3.
    pub exit_code: u8,
    /// Why, in sentences; the first one is the short answer.
    pub reasons: Vec<String>,
    /// The traces, in the order given; everywhere else they are numbers in this list, from 0.
    pub traces: Vec<TraceSummary>,
    /// Every two of them compared.
    pub pairs: Vec<VotePair>,
    /// The first checkpoint, in dataflow order, at which not all agree.
    pub first: Option<VoteCheckpoint>,
    /// Every checkpoint that at least three comparable traces have, in dataflow order.
    pub checkpoints: Vec<VoteCheckpoint>,
}

/// Two of the traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VotePair {
    /// Their numbers; the first one stood in for the reference.
    pub traces: [usize; 2],
    /// Verdict of the comparison.
    pub verdict: String,
    /// Its first reason.
    pub reason: String,
    /// Pairs of records that were compared.
    pub compared: u64,
    /// Their first divergence.
    pub first_divergence: Option<String>,
    /// √NMSE of the worst checkpoint.
    pub worst_relative_rmse: Option<Number>,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoteCheckpoint {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Traces that agree with each other, the most numerous group first.
    pub groups: Vec<Vec<usize>>,
    /// The odd ones: all outside a first group that is more than half; empty where there is no such group.
    pub odd: Vec<usize>,
    /// √NMSE of the two traces farthest apart.
    pub farthest_relative_rmse: Number,
    /// √NMSE of the two traces farthest apart inside the first group; absent where it is a single trace.
    pub within_relative_rmse: Option<Number>,
}
