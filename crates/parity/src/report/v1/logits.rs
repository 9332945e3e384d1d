//! What differences of logits do to the next token.

use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All rows of logits that were there whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Logits {
    /// Rows compared; every figure rests on all elements of these.
    pub rows: u64,
    /// Rows left out because a NaN or infinity leaves no distribution.
    pub without_distribution: u64,
    /// Mean of KL(reference‖candidate), nats.
    pub mean_kl: Number,
    /// The largest KL(reference‖candidate) of a row, nats.
    pub max_kl: Number,
    /// Position of that row.
    pub max_kl_token_idx: i64,
    /// Share of rows whose likeliest token is the same.
    pub top1_agreement: Number,
    /// How many likeliest tokens `topk_agreement` looks at.
    pub k: u64,
    /// Mean share of the reference's k likeliest tokens that are among the candidate's.
    pub topk_agreement: Number,
    /// Smallest distance of the reference's likeliest token from its second, in logits; absent for a vocabulary of one.
    pub min_margin: Option<Number>,
    /// The first token that greedy decoding would choose differently.
    pub first_change: Option<TokenChange>,
}

/// A row after which greedy decoding would go another way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenChange {
    /// Position of the row of logits.
    pub token_idx: i64,
    /// Position of the token that would change: the next one.
    pub changed_token_idx: i64,
    /// Sequence in a batch.
    pub seq: u64,
    /// The reference's likeliest token.
    pub reference_token: u64,
    /// The candidate's.
    pub candidate_token: u64,
    /// By how much the reference prefers its token to the candidate's, in logits.
    pub reference_margin: Number,
    /// By how much the candidate prefers its own, in logits.
    pub candidate_margin: Number,
    /// KL(reference‖candidate) of the row, nats.
    pub kl: Number,
    /// Where the disagreement begins that leads to it; absent where no origin lies at or before this position.
    pub caused_by: Option<ChangeCause>,
}

/// The origin of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeCause {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Position of its first token.
    pub token_idx: i64,
}
