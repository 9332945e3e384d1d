//! What a known-good comparison measured, kept in a repository, and whether a later one got worse.

mod file;
mod gate;

pub use file::Baseline;
pub use gate::{Change, Gate, gate};
