//! What happens inside ggml's eval callback: which node is which checkpoint, and how its numbers get into the trace.
//!
//! ggml's scheduler asks a callback about every node of a graph, and hands the computed tensor over. Nothing here knows how
//! the program that computes the graph was built or linked: a [`Node`] is all that is seen. So one implementation
//! serves the linked reference (`ggml-capture`), programs that are not ours (`ggml-preload`), and engines that
//! install the callback themselves (`cpp/orch_log_ggml.hpp`).
//!
//! A [`Session`] gets the nodes of one pass after another. Who feeds the graph tells it what each [`Pass`] is fed
//! with; who only sees the graph reads that from its [`Inputs`].

mod columns;
#[cfg(test)]
mod fake;
mod graph;
mod heads;
mod held;
mod inputs;
mod layout;
mod names;
mod naming;
mod node;
mod order;
mod rows;
mod session;

pub use columns::Columns;
pub use heads::heads;
pub use inputs::{Inputs, is_token_lookup};
pub use layout::{Dims, Layout};
pub use naming::{Heads, Place, places};
pub use node::{Node, NodeData};
pub use order::{rank, vocabulary};
pub use rows::{Rows, Segment};
pub use session::{Pass, Session, SessionOptions, Tally};
