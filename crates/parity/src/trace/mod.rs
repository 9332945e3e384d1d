//! What a run left on disk: the only module that reads files.

mod ahead;
mod index;
mod lines;
mod merge;
mod payload;
mod payload_blocks;
mod reader;
mod run_file;
mod similar;
mod store;

pub(crate) use ahead::ReadAhead;
pub use index::{Batch, Gap, Index, Piece};
pub use merge::{Merged, merge_ranks};
pub use payload::{PayloadFault, PayloadNumbers};
pub use reader::{Entry, Located, Malformed, Records};
pub use run_file::{RunFile, RunInfo, RunModel};
pub use store::Trace;
