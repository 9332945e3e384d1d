//! The whole comparison: check, align, measure, judge, report.

mod many;
mod options;
mod pairing;
mod run;

pub use many::many;
pub use options::Options;
pub(crate) use pairing::Pairing;
pub use run::compare;
