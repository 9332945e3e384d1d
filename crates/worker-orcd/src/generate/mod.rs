//! Feeding a model: which tokens, in which passes, and what it would have picked itself.

mod run;
mod script;

pub use run::{Continuation, generate};
pub use script::Script;
