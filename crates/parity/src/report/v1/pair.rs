//! Figures of pairs and checkpoints.

use super::figures::HistogramBin;
use super::local::LocalError;
use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a figure rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Basis {
    /// All compared elements.
    Exact {
        /// Elements compared.
        elements: u64,
    },
    /// The first elements only.
    First {
        /// Elements compared.
        elements: u64,
        /// Elements that should have been compared.
        of: u64,
    },
    /// Estimated from the sketches of the whole tensors.
    Sketch {
        /// Relative uncertainty at two standard deviations.
        plus_minus: Number,
        /// Elements of the tensor.
        of: u64,
    },
    /// A lower bound proven by the statistics of the whole tensors.
    AtLeast {
        /// Elements of the tensor.
        of: u64,
    },
}

/// Smallest and largest finite value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValueRange {
    /// Smallest.
    pub min: Number,
    /// Largest.
    pub max: Number,
}

/// Figures over the elements that could be read on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// max |candidate − reference|.
    pub max_abs_diff: Number,
    /// mean |candidate − reference|.
    pub mean_abs_diff: Number,
    /// max |candidate − reference| / max(|reference|, 1e-8).
    pub max_rel_diff: Number,
    /// Root mean square of candidate − reference.
    pub rmse: Number,
    /// Squared error over squared magnitude of the reference.
    pub nmse: Number,
    /// Cosine similarity; absent where either is all zero.
    pub cosine: Option<Number>,
    /// Pearson's correlation; absent where either is constant.
    #[serde(default)]
    pub pearson: Option<Number>,
    /// Largest distance in units of the last place of the candidate's storage type; absent for integers.
    #[serde(default)]
    pub max_ulp: Option<u64>,
    /// Elements where one value is positive and the other negative.
    #[serde(default)]
    pub sign_disagreements: u64,
    /// Elements that are not the same bits.
    #[serde(default)]
    pub different: u64,
}

/// One element that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorstElement {
    /// Coordinates, outermost first.
    pub at: Vec<u64>,
    /// The reference's value.
    pub reference: Number,
    /// The candidate's value.
    pub candidate: Number,
    /// |candidate − reference|.
    pub abs_diff: Number,
}

/// One pair with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairDetail {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Position of the first token.
    pub token_idx: i64,
    /// Token positions covered.
    pub n_tokens: u64,
    /// Forward pass, 0 = prefill.
    pub step: Option<u64>,
    /// Sequence in a batch.
    pub seq: u64,
    /// Occurrence within the step.
    pub occurrence: u64,
    /// Operation, as the reference names it.
    pub op: Option<String>,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Storage type in the reference.
    pub reference_dtype: String,
    /// Storage type in the candidate.
    pub candidate_dtype: String,
    /// The limit of its operation; absent with `bands`.
    pub max_nmse: Option<Number>,
    /// Whether the limit is exceeded.
    pub above_limit: bool,
    /// Whether everything that both records hold is bit-identical.
    pub identical: bool,
    /// The best known NMSE.
    pub nmse: Number,
    /// What it rests on.
    pub nmse_basis: Basis,
    /// √NMSE: the error relative to the reference's magnitude.
    pub relative_rmse: Number,
    /// −10 log₁₀ NMSE.
    pub sqnr_db: Number,
    /// The best known cosine similarity.
    pub cosine: Option<Number>,
    /// The largest absolute difference known of.
    pub max_abs_diff: Option<Number>,
    /// Its band.
    pub band: Option<String>,
    /// Elements where a NaN or infinity meets anything but its like.
    pub mismatched_non_finite: u64,
    /// Figures over the elements that could be read.
    pub figures: Option<Figures>,
    /// What `figures`, ranges and worst elements rest on.
    pub basis: Basis,
    /// The reference's values.
    pub reference_range: Option<ValueRange>,
    /// The candidate's values.
    pub candidate_range: Option<ValueRange>,
    /// The elements with the largest differences.
    pub worst_elements: Vec<WorstElement>,
    /// How large the differences are, by powers of two, smallest first; without empty places.
    #[serde(default)]
    pub diff_histogram: Vec<HistogramBin>,
    /// The reference's first values.
    pub reference_values: Vec<Number>,
    /// The candidate's first values.
    pub candidate_values: Vec<Number>,
}

/// The error of a checkpoint that another one is computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputError {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Its NMSE at the same position.
    pub nmse: Number,
    /// √NMSE.
    pub relative_rmse: Number,
}

/// The first pair in dataflow order whose operation adds more than rounding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Divergence {
    /// Checkpoint name, the same as the pair's.
    pub checkpoint: String,
    /// Position of the first token, the same as the pair's.
    pub token_idx: i64,
    /// Forward pass, the same as the pair's.
    pub step: Option<u64>,
    /// The errors of what it is computed from; empty where nothing before it was captured.
    pub inputs: Vec<InputError>,
    /// The pair.
    pub pair: PairDetail,
    /// What its operation adds; absent where a threshold or bands decide.
    #[serde(default)]
    pub local: Option<LocalError>,
}

/// All pairs of one checkpoint name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointSummary {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Pairs compared.
    pub pairs: u64,
    /// Of them bit-identical.
    pub identical: u64,
    /// Of them above the limit.
    pub above_limit: u64,
    /// The limit of its operation; absent with `bands`.
    pub max_nmse: Option<Number>,
    /// The largest NMSE.
    pub worst_nmse: Number,
    /// Its square root.
    pub worst_relative_rmse: Number,
    /// Where it is.
    pub worst_token_idx: i64,
    /// What it rests on.
    pub worst_basis: Basis,
    /// The largest absolute difference known.
    pub max_abs_diff: Option<Number>,
    /// The smallest cosine similarity known.
    pub min_cosine: Option<Number>,
    /// The pair whose operation adds most; absent where a threshold or bands decide.
    #[serde(default)]
    pub local: Option<LocalError>,
}
