//! Which record of one trace is which record of the other.

mod input;
mod key;
mod lane;
pub mod layout;
mod lockstep;
pub mod maps;
mod names;
mod order;
mod propose;
pub mod shards;
mod stage;
mod stream;

pub use key::Key;
pub(crate) use key::rank_of;
pub use lockstep::{Lockstep, Pair, Progress, Share, Unpaired};
pub use names::{NameId, Names};
pub use order::{Place, inputs_of};
pub use propose::{Likeness, NameProfile, Profile, Proposal, Proposed, propose};
pub use stage::Stage;
pub use stream::Source;
