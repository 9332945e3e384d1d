//! Which record of one trace is which record of the other.

mod key;
mod lockstep;
mod names;
mod order;

pub use key::{Fingerprint, Key};
pub use lockstep::{Lockstep, Pair, Progress, Unpaired};
pub use names::{NameId, Names};
pub use order::{Place, Stage, inputs_of};
