//! The whole comparison: check, align, measure, judge, report.

mod calibrate;
mod causes;
mod comparable;
mod deviation;
mod inspect;
mod learned;
mod many;
mod options;
mod paired;
mod paired_text;
mod pairing;
mod recomputed;
mod run;
mod setup;
mod undone;
mod views;

pub use calibrate::calibrate;
pub(crate) use deviation::NotRecomputed;
pub use inspect::{Which, inspect};
pub use many::many;
pub use options::Options;
pub use paired::pairing;
pub(crate) use pairing::Pairing;
pub use run::{compare, compare_with_model};
pub(crate) use undone::pattern;
