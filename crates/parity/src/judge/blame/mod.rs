//! An operation is blamed for what it adds, not for what it was given.

mod flow;
mod gain;
mod gap;
mod graph;
mod history;
mod judgement;
mod local;
mod operation;
mod origin;
mod undone;

pub use gap::Gap;
pub use graph::{Graph, Origins};
pub(super) use history::Unmeasured;
pub use judgement::{InputError, Judgement};
pub use local::{Floor, LocalError};
pub use operation::Kind;
pub use origin::Origin;
