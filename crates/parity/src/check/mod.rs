//! Is each trace sound, and may these two be compared?

pub mod doctor;
mod finding;
mod inputs;
mod intervals;
mod models;
mod shift;
pub mod soundness;
mod survey;

pub use finding::{Code, Finding, Findings, Severity, Side};
pub use inputs::{Inputs, SameInput, read_tokens};
pub use intervals::Intervals;
pub use models::compare_runs;
pub(crate) use shift::{estimate, first_rows};
pub(crate) use survey::tokens_contradict;
pub use survey::{LogitsForm, NameSurvey, Survey, contradiction, counts_contradict};
