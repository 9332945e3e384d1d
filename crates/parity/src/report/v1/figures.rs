//! Figures of one pair that are more than one number.

use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One place of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistogramBin {
    /// Smallest number that is counted here. Equal to `to` where only this number is.
    pub from: Number,
    /// Where the next place begins; infinite for the last one.
    pub to: Number,
    /// How many.
    pub count: u64,
}
