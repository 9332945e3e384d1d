//! Which record of one trace is which record of the other.

mod key;
mod lockstep;
mod names;
mod order;
mod stage;

pub use key::{Fingerprint, Key};
pub use lockstep::{Lockstep, Pair, Progress, Unpaired};
pub use names::{NameId, Names};
pub use order::{Place, inputs_of};
pub use stage::Stage;
