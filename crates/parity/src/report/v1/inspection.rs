//! One pair looked at closely: histograms, and where along its axes the error lies; filled on request only.

use super::PairDetail;
use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One pair looked at closely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inspection {
    /// Which pair, and its figures.
    pub pair: PairDetail,
    /// Finite elements that the histograms count; 0 where no elements are known.
    pub elements: u64,
    /// The values of both sides.
    pub values: Option<ValueHistogram>,
    /// The differences.
    pub differences: Option<DifferenceHistogram>,
    /// The error along each axis longer than 1; empty where not all elements are known.
    pub axes: Vec<AxisErrors>,
    /// The error over the two innermost axes longer than 1.
    pub map: Option<ErrorMap>,
}

/// Values of both sides in bins of equal width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValueHistogram {
    /// Lower edge of the first bin.
    pub from: Number,
    /// Upper edge of the last bin.
    pub to: Number,
    /// Elements of the reference in each bin.
    pub reference: Vec<u64>,
    /// Elements of the candidate in each bin.
    pub candidate: Vec<u64>,
}

/// |candidate − reference| in bins of equal ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceHistogram {
    /// Elements without a difference.
    pub equal: u64,
    /// log₁₀ of the lower edge of the first bin.
    pub from_log10: f64,
    /// Bins in each power of ten.
    pub bins_a_decade: u32,
    /// Elements in each bin; bins without any at both ends are left out.
    pub counts: Vec<u64>,
}

/// The error along one axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AxisErrors {
    /// `token`, `head`, `channel`, `key` or `axis N`.
    pub name: String,
    /// Length of the axis.
    pub length: u64,
    /// Places that one number stands for.
    pub group: u64,
    /// NMSE in decibels, 10 log₁₀; absent where there is no difference.
    pub nmse_db: Vec<Option<i32>>,
}

/// The error over two axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorMap {
    /// Names of rows and columns, as in [`AxisErrors::name`].
    pub names: [String; 2],
    /// Lengths of the two axes.
    pub lengths: [u64; 2],
    /// Places that one number stands for along each.
    pub groups: [u64; 2],
    /// NMSE in decibels, row by row; absent where there is no difference.
    pub nmse_db: Vec<Option<i32>>,
}
