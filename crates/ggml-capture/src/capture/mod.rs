//! What happens inside the eval callback: which node is which checkpoint, and how its numbers get into
//! the trace.
//!
//! Nothing here knows how the program that computes the graph was linked: a [`Node`] is all it sees.

#[cfg(test)]
mod fake;
mod graph;
mod heads;
mod held;
mod inputs;
mod layout;
mod naming;
mod node;
mod order;
mod rows;
mod session;

#[cfg(feature = "linked")]
pub(crate) mod linked;

pub use heads::heads;
pub use inputs::{Inputs, is_token_lookup};
pub use layout::{Dims, Layout};
pub use naming::{Heads, Place, place};
pub use node::{Node, NodeData};
pub use order::{rank, vocabulary};
pub use rows::{Rows, Segment};
pub use session::{Pass, Session, SessionOptions, Tally};
