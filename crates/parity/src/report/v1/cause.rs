//! Why: causes, and what was tried to find them.

use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cause of a divergence that may be stated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// The rule's code; `parity explain CODE` prints its page.
    pub code: String,
    /// The rule's name.
    pub name: String,
    /// `proven`, `likely` or `ambiguous`: the last where others explain as well.
    pub certainty: String,
    /// Whether the consumers of the tensor undo the difference.
    pub benign: bool,
    /// One sentence with the fitted numbers.
    pub claim: String,
    /// The checkpoint that it explains.
    pub checkpoint: String,
    /// First and last position of the rows that were looked at.
    pub positions: [i64; 2],
    /// Fitted and assumed numbers.
    pub parameters: Vec<Parameter>,
    /// What the hypothesis leaves unexplained, relative to the candidate.
    pub residual: Number,
    /// What is unexplained without it.
    pub without: Number,
    /// Residual that is rounding here.
    pub floor: Number,
    /// `inputs`: recomputed from the candidate's own inputs; `reference`: from the reference's tensors.
    pub basis: String,
    /// Further numbers that speak for it.
    pub evidence: Vec<Evidence>,
    /// How to make sure.
    pub confirm: String,
    /// What to change.
    pub fix: String,
}

/// A fitted or assumed number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: Number,
    /// The familiar value that it comes to.
    pub looks_like: Option<String>,
}

/// A number that speaks for a cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: Number,
}

/// Everything that was tried at one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The checkpoint.
    pub checkpoint: String,
    /// First and last position of the rows that were looked at.
    pub positions: [i64; 2],
    /// The form of its operation.
    pub operation: String,
    /// `found`, `inherited`, `reference differs`, `unknown`, or `not captured`: what there is of it cannot be explained,
    /// and the summary says why.
    pub outcome: String,
    /// That in a sentence.
    pub summary: String,
    /// Positions of the rows that differ.
    pub affected: Vec<i64>,
    /// Candidate against reference, relative to the candidate; NaN where it was not captured.
    pub divergence: Number,
    /// Candidate against the reference's formula applied to the candidate's own inputs.
    pub from_own_inputs: Option<Number>,
    /// Reference against the same formula applied to the reference's inputs.
    pub reference_from_its_inputs: Option<Number>,
    /// Largest disagreement of the operation's inputs; NaN where it was not captured.
    pub inputs: Number,
    /// Causes that may be stated, the likeliest first.
    pub causes: Vec<Cause>,
    /// All hypotheses, the best first.
    pub tried: Vec<Tried>,
}

/// One hypothesis that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tried {
    /// The rule's code.
    pub code: String,
    /// The hypothesis.
    pub claim: String,
    /// What it leaves unexplained.
    pub residual: Number,
    /// How many numbers were fitted.
    pub fitted: u64,
    /// Whether what it leaves is no more than rounding.
    pub explains: bool,
}
