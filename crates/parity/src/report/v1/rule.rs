//! What there is to read about a rule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A known mistake: the page that `parity explain CODE` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Its stable code.
    pub code: String,
    /// A few words.
    pub name: String,
    /// The forms of operations at which it is looked for.
    pub operations: Vec<String>,
    /// What is done wrongly, and what comes of it.
    pub detects: String,
    /// What is shown as proof.
    pub evidence: String,
    /// How to make sure of it.
    pub confirm: String,
    /// What to change.
    pub fix: String,
    /// Real reports of this mistake, `owner/repository#number`.
    pub reports: Vec<String>,
}
