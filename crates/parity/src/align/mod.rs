//! Which record of one trace is which record of the other.

mod key;
mod lockstep;
mod names;
mod order;
mod propose;
mod stage;

pub use key::{Fingerprint, Key};
pub use lockstep::{Lockstep, Pair, Progress, Unpaired};
pub use names::{NameId, Names};
pub use order::{Place, inputs_of};
pub use propose::{Likeness, NameProfile, Profile, Proposal, Proposed, propose};
pub use stage::Stage;
