//! The whole comparison: check, align, measure, judge, report.

mod many;
mod options;
mod paired;
mod paired_text;
mod pairing;
mod run;
mod undone;
mod views;

pub use many::many;
pub use options::Options;
pub use paired::pairing;
pub(crate) use pairing::Pairing;
pub use run::compare;
pub(crate) use undone::pattern;
