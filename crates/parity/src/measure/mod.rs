//! Numbers for each aligned pair: one pass, bounded memory, partial results that merge.

mod basis;
mod bound;
mod element;
mod metrics;
mod pair;
mod partial;
mod sketch;

pub use basis::Basis;
pub use bound::{StatsBound, stats_bound};
pub use element::{Element, Worst};
pub use metrics::{Metrics, sqnr_db};
pub use pair::{Evidence, Measured, measure};
pub use partial::{BLOCK, MIN_DENOMINATOR, Partial, Range};
pub use sketch::{SketchEstimate, estimate};
