//! What single operations add to the errors of their inputs.

use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one operation adds. All numbers are relative root mean square errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalError {
    /// Position of the first token of the pair.
    pub token_idx: i64,
    /// The error of the output; with the floor `recomputed`, of the candidate against its own recomputation.
    pub error: Number,
    /// As much of it as the errors of the inputs explain.
    pub explained: Number,
    /// As much as the operation's own rounding may add.
    pub own: Number,
    /// `error / (explained + own)`; more than 1 is a mistake of this operation.
    pub excess: Number,
    /// `gathered`, `model`, `calibrated`, `recomputed`: what the error was held against.
    pub floor: String,
}

/// An operation that adds more than rounding, in one layer or in a run of layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The checkpoints of its first layer; several where one step makes them, as the rotation of queries and of keys.
    pub checkpoints: Vec<String>,
    /// The layers, ascending; empty outside the layers.
    pub layers: Vec<u32>,
    /// The layers are all that were compared.
    pub in_all_layers: bool,
    /// Position of the first pair.
    pub token_idx: i64,
    /// Its forward pass, 0 = prefill.
    pub step: Option<u64>,
    /// Pairs that are blamed.
    pub pairs: u64,
    /// What the operation adds in the first pair; absent where a threshold or bands decide.
    pub local: Option<LocalError>,
    /// The errors of what the first pair is computed from.
    pub inputs: Vec<super::InputError>,
    /// A checkpoint computed from it that agrees as if nothing had happened: another convention, not a mistake.
    pub undone_by: Option<String>,
    /// Steps between those inputs and it that were not compared: the mistake may be in any of them.
    pub uncaptured: Vec<String>,
    /// The setting of the logger that captures them.
    pub filter: Option<String>,
}

/// How many pairs were held against what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FloorCount {
    /// `gathered`, `model`, `calibrated`, `recomputed`.
    pub floor: String,
    /// Pairs.
    pub pairs: u64,
}

/// The error of the residual stream along the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Growth {
    /// Checkpoint name.
    pub checkpoint: String,
    /// The largest relative RMSE of any of its pairs.
    pub relative_rmse: Number,
}

/// What became of an entry of a tolerance file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToleranceUse {
    /// Which checkpoints, as a glob.
    pub checkpoint: String,
    /// Storage type, where the entry names one.
    pub dtype: Option<String>,
    /// Largest relative RMSE that it tolerates.
    pub max_relative_rmse: Number,
    /// Why.
    pub reason: String,
    /// Pairs that it was applied to.
    pub pairs: u64,
    /// Of them those that would have counted as more than rounding without it.
    pub excused: u64,
    /// Of them those that it holds to less than the noise allows.
    pub tightened: u64,
    /// It changes nothing: the run fails until it is deleted.
    pub needless: bool,
}
