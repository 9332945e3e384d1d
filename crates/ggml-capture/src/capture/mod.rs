//! What happens inside the eval callback: which node is which checkpoint, and how its numbers get into
//! the trace.
//!
//! Nothing here knows how the program that computes the graph was linked: a [`Node`] is all it sees.

mod graph;
mod layout;
mod naming;
mod node;
mod order;
mod session;

pub(crate) mod linked;

pub use layout::{Dims, Layout};
pub use naming::{Heads, Place, place};
pub use node::{Node, NodeData};
pub use order::{rank, vocabulary};
pub use session::{Pass, Session, SessionOptions, Tally};
