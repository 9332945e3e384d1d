//! The result of a comparison, version 1: the only shape in which it leaves the library.
//!
//! Fields may be added within a version; none is renamed, removed or given another meaning. Numbers that may be
//! NaN or infinite are [`Number`]s.

mod alignment;
mod cause;
mod cells;
mod coverage;
mod figures;
mod inspection;
mod judged;
mod local;
mod logits;
mod many;
mod pair;
mod pairing;
mod rule;
mod verification;
mod vote;

pub use alignment::{Alignment, Covered, NameMapUse, UndoneDifference};
pub use cause::{Cause, Evidence, Explanation, Parameter, Tried};
pub use cells::{Cells, Edge};
pub use coverage::{
    Coverage, MissingGroup, ModelSummary, RestsOn, ShapeMismatch, TokenDifference, Tokens,
    TraceSummary, Unpaired, UnusablePair,
};
pub use figures::HistogramBin;
pub use inspection::{AxisErrors, DifferenceHistogram, ErrorMap, Inspection, ValueHistogram};
pub use judged::Judged;
pub use local::{FloorCount, Growth, LocalError, Origin, ToleranceUse};
pub use logits::{ChangeCause, Logits, TokenChange};
pub use many::Many;
pub use pair::{
    Basis, CheckpointSummary, Divergence, Figures, InputError, PairDetail, ValueRange, WorstElement,
};
pub use pairing::{PairedName, Pairing, UnpairedName};
pub use rule::Rule;
pub use verification::{UnverifiedOperation, Verification, VerifiedOperation};
pub use vote::{Vote, VoteCheckpoint, VotePair};

use super::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of this shape.
pub const SCHEMA_VERSION: u32 = 1;

/// The result of one comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of the program that compared.
    pub parity_version: String,
    /// `match`, `rounding`, `drift`, `diverged` or `not comparable`.
    pub verdict: String,
    /// The exit code that goes with the verdict.
    pub exit_code: u8,
    /// Why, in sentences; the first one is the short answer.
    pub reasons: Vec<String>,
    /// The reference trace.
    pub reference: TraceSummary,
    /// The candidate trace.
    pub candidate: TraceSummary,
    /// What was compared, and what was not.
    pub coverage: Coverage,
    /// Names, positions and layouts: what was undone before anything was compared.
    #[serde(default)]
    pub alignment: Alignment,
    /// Whether both engines saw the same tokens.
    pub tokens: Tokens,
    /// What the pairs were judged by.
    pub limit: Limit,
    /// Pairs by band of the largest absolute difference.
    pub bands: Bands,
    /// The first pair in dataflow order whose operation adds more than rounding.
    pub first_divergence: Option<Divergence>,
    /// The pairs with the largest NMSE, one for each checkpoint name, the worst first.
    pub worst: Vec<PairDetail>,
    /// Every checkpoint name that was compared, in the order of the reference trace.
    pub checkpoints: Vec<CheckpointSummary>,
    /// What was wrong or doubtful, the weightiest first.
    pub findings: Vec<Finding>,
    /// All places where disagreement begins, the first in dataflow order first.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// What became of each entry of the tolerance file.
    #[serde(default)]
    pub tolerances: Vec<ToleranceUse>,
    /// How many pairs were held against what.
    #[serde(default)]
    pub floors: Vec<FloorCount>,
    /// What judging passed over.
    #[serde(default)]
    pub judged: Judged,
    /// The error of the residual stream, layer by layer.
    #[serde(default)]
    pub growth: Vec<Growth>,
    /// Every compared pair in a few numbers; absent unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<Cells>,
    /// Which checkpoint is computed from which; empty unless cells were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    /// Some pairs looked at closely; empty unless asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inspections: Vec<Inspection>,
    /// What differences of logits do to the next token; absent where no whole row of logits was compared.
    #[serde(default)]
    pub logits: Option<Logits>,
    /// Why it diverged, where that is known; the likeliest first.
    #[serde(default)]
    pub causes: Vec<Cause>,
}

/// What the pairs were judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// `noise`, `threshold` or `bands`.
    pub kind: String,
    /// The threshold that was given: largest NMSE that is not a divergence.
    pub max_nmse: Option<Number>,
    /// `f32`, `f16`, `8-bit` or `4-bit`: the class of weights whose noise is allowed.
    pub weights: Option<String>,
    /// True where the weights are not known from both run files.
    pub assumed: bool,
    /// Where the numbers come from.
    pub reason: String,
    /// The limits of the operations, the smallest first.
    pub by_operation: Vec<OperationLimit>,
}

/// The limit of some operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationLimit {
    /// Names without their layer; empty for all that no other entry names.
    pub operations: Vec<String>,
    /// Largest NMSE that is not a divergence.
    pub max_nmse: Number,
    /// Its square root.
    pub max_relative_rmse: Number,
    /// Why they are noisier than others.
    pub reason: String,
}

/// How many pairs lie in each band of the largest absolute difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bands {
    /// Below 1e-5.
    pub exact: u64,
    /// Below 1e-3.
    pub close: u64,
    /// Below 1e-1.
    pub acceptable: u64,
    /// Below 1.
    pub warning: u64,
    /// 1 and above.
    pub fail: u64,
    /// Nothing but a sketch is known.
    pub unknown: u64,
}

/// Something wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable code: `S…` of the records of one trace, `T…` of its run file, `C…` of the two together.
    pub code: String,
    /// The code in words.
    pub name: String,
    /// `note`, `warning` or `error`.
    pub severity: String,
    /// `reference`, `candidate` or `both`.
    pub side: String,
    /// How often.
    pub count: u64,
    /// The first occurrences in words.
    pub examples: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
}
