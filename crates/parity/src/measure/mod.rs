//! Numbers for each aligned pair: one pass, bounded memory, partial results that merge.

mod accumulate;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod basis;
mod bound;
mod careful;
mod element;
mod elements;
mod exp;
mod histogram;
mod kernel;
mod lanes;
mod logits;
mod metrics;
mod pair;
mod partial;
mod portable;
mod sketch;
mod spread;
mod ulp;

pub use basis::Basis;
pub use bound::{StatsBound, stats_bound};
pub use element::{Element, Worst};
pub use histogram::DiffHistogram;
pub use kernel::Kernel;
pub use logits::{Logits, TOP, TokenChange};
pub use metrics::{Metrics, sqnr_db};
pub use pair::{Evidence, Measured, measure};
pub use partial::{BLOCK, GROUP, MIN_DENOMINATOR, Partial, Range};
pub use sketch::{SketchEstimate, estimate};
pub use spread::{AxisSpread, MapSpread, Resolution, Spread, spread};
pub use ulp::Ulp;
