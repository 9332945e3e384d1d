//! The whole comparison: check, align, measure, judge, report.

mod many;
mod options;
mod pairing;
mod run;
mod undone;
mod views;

pub use many::many;
pub use options::Options;
pub(crate) use pairing::Pairing;
pub use run::compare;
pub(crate) use undone::pattern;
