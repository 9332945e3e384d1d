//! What was compared, and what was not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceSummary {
    /// The file as it was named.
    pub path: String,
    /// Who logged; several where the file mixes them.
    pub teams: Vec<String>,
    /// Records.
    pub records: u64,
    /// Lines that are not records.
    pub malformed_lines: u64,
    /// First and last position that a record begins at.
    pub positions: Option<[i64; 2]>,
    /// The model, where the run file names it.
    pub model: Option<ModelSummary>,
    /// Device, threads and settings, where the run file names them.
    pub run: Vec<(String, String)>,
}

/// The model of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelSummary {
    /// File name without its folder.
    pub file: Option<String>,
    /// SHA-256, hexadecimal.
    pub sha256: Option<String>,
    /// `llama`, `qwen2`, …
    pub architecture: Option<String>,
    /// Number of blocks.
    pub layers: Option<u64>,
    /// Storage type of most weights.
    pub weights: Option<String>,
}

/// What was compared, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Records with a partner of the same key.
    pub pairs: u64,
    /// Of them measured.
    pub compared: u64,
    /// Of the measured ones bit-identical.
    pub identical: u64,
    /// Of the measured ones above the limit.
    pub above_limit: u64,
    /// Pairs of `tokens` records, which are compared as ids.
    pub token_pairs: u64,
    /// Pairs that lie past the point where the inputs part.
    pub past_inputs: u64,
    /// Measured pairs by what the NMSE rests on.
    pub rests_on: RestsOn,
    /// Records of the reference without a partner.
    pub missing_in_candidate: Unpaired,
    /// Records of the candidate without a partner.
    pub missing_in_reference: Unpaired,
    /// Pairs of different shape.
    pub shape_mismatches: u64,
    /// The first of them.
    pub shape_mismatch_list: Vec<ShapeMismatch>,
    /// Pairs that could not be measured for another reason.
    pub unusable: u64,
    /// The first of them.
    pub unusable_list: Vec<UnusablePair>,
}

/// Measured pairs by what the NMSE rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestsOn {
    /// All elements.
    pub all_elements: u64,
    /// The first elements only.
    pub first_elements: u64,
    /// Sketches of the whole tensors.
    pub sketches: u64,
    /// Statistics of the whole tensors.
    pub statistics: u64,
}

/// Records without a partner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unpaired {
    /// How many.
    pub records: u64,
    /// By name, layers together, the most numerous first.
    pub groups: Vec<MissingGroup>,
    /// The first ones in file order.
    pub list: Vec<String>,
}

/// Records without a partner whose names differ in the layer only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingGroup {
    /// The name, `*` for the layer.
    pub pattern: String,
    /// Checkpoint names.
    pub names: u64,
    /// Records.
    pub records: u64,
}

/// A pair of different shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShapeMismatch {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Position.
    pub token_idx: i64,
    /// The reference's shape.
    pub reference: Vec<usize>,
    /// The candidate's shape.
    pub candidate: Vec<usize>,
}

/// A pair that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnusablePair {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Position.
    pub token_idx: i64,
    /// Why.
    pub reason: String,
}

/// Whether both engines saw the same tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// `same`, `different` or `unknown`.
    pub status: String,
    /// Positions with the same id on both sides, before the first difference of each sequence.
    pub equal_positions: u64,
    /// The first difference of each sequence.
    pub differences: Vec<TokenDifference>,
}

/// Where the inputs part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenDifference {
    /// Sequence.
    pub seq: u64,
    /// First position with different ids.
    pub token_idx: i64,
    /// The reference's id there.
    pub reference: i64,
    /// The candidate's id there.
    pub candidate: i64,
}
