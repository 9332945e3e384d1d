//! What judging passed over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far pairs were judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// Of a product with a matrix so many rows are computed anew, the last ones; all where the model of errors suspects it.
    pub product_rows: u64,
    /// Pairs that were computed anew in these rows only.
    pub products_in_part: u64,
    /// Their other rows, which the model of errors judged.
    pub rows_not_recomputed: u64,
    /// Pairs that could have been computed anew and lay past the work that is done for that; the model of errors judged
    /// them.
    pub pairs_not_recomputed: u64,
    /// Pairs past those that are kept one by one: held against the limits of the whole model only.
    pub pairs_left_out: u64,
}
