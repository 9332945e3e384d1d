//! One reference and several candidates.

use super::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reference and several candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Many {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// Version of the program that compared.
    pub parity_version: String,
    /// The worst verdict.
    pub verdict: String,
    /// The largest exit code.
    pub exit_code: u8,
    /// One report for each candidate, in the order given.
    pub reports: Vec<Report>,
}
