//! Which name of one trace is which name of the other, where the names themselves do not tell.
//!
//! A proposal rests on numbers: what a sketch, the first values and the statistics of the same positions say, and where
//! in the pass a name is logged. It is written for a person to read and is never used silently.

mod likeness;
mod matching;
mod order;
mod profile;
mod proposal;
mod text;

pub use likeness::Likeness;
pub use matching::propose;
pub use profile::{NameProfile, Profile};
pub use proposal::{Proposal, Proposed};
