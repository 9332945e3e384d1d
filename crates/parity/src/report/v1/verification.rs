//! Whether each operation of one trace follows from its inputs.

use super::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of recomputing one trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// Version of the program that recomputed.
    pub parity_version: String,
    /// The trace.
    pub trace: String,
    /// The model's architecture.
    pub architecture: String,
    /// `follows`, `does not follow` or `nothing verified`.
    pub verdict: String,
    /// 0, 1 or 3.
    pub exit_code: u8,
    /// The operations whose output does not follow from their logged inputs: where the mistakes are. An operation that
    /// is only given wrong inputs is not among them.
    pub culprits: Vec<String>,
    /// Every operation that was recomputed, in the order of the trace.
    pub operations: Vec<VerifiedOperation>,
    /// Every canonical checkpoint that could not be recomputed, in the order of the trace.
    pub unverified: Vec<UnverifiedOperation>,
    /// Checkpoints that are not canonical, or that the model does not have.
    pub unknown: Vec<String>,
    /// Lines of the trace that are not records.
    pub left_out: u64,
}

/// An operation that was recomputed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedOperation {
    /// Its output.
    pub checkpoint: String,
    /// The formula: `norm`, `linear`, `rope`, …
    pub kind: String,
    /// Whether the output follows from the inputs.
    pub follows: bool,
    /// Relative RMSE of the worst row.
    pub relative: Number,
    /// The largest that still follows.
    pub limit: Number,
    /// Position of the worst row.
    pub position: i64,
    /// Sequence of the worst row.
    pub seq: u64,
    /// Rows that were recomputed.
    pub rows: u64,
    /// The arithmetic that is nearest: `f64`, `engine` or `long blocks` (candle's Q8_0).
    pub arithmetic: String,
    /// Relative RMSE of the worst row against f64, where it was computed.
    pub f64: Option<Number>,
    /// The same against the engine's arithmetic.
    pub engine: Option<Number>,
    /// Logged checkpoints that it was computed from.
    pub inputs: Vec<String>,
    /// Checkpoints that were not logged and were computed on the way.
    pub through: Vec<String>,
    /// Tensors of the model that it was computed with.
    pub weights: Vec<String>,
}

/// An operation that could not be recomputed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnverifiedOperation {
    /// Its output.
    pub checkpoint: String,
    /// Why.
    pub reason: String,
    /// Checkpoints that are missing.
    pub missing: Vec<String>,
}
