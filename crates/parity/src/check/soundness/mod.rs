//! Is one trace what its engine computed, or did something happen to it on the way to disk?
//!
//! [`Soundness`] looks at the records of a trace one after the other and then says what it found. Each kind of damage
//! is a detector in a file of its own, whose first lines say what it detects, why it matters, which evidence it wants
//! and what it cannot tell:
//!
//! | codes | about | files |
//! |---|---|---|
//! | `S00x` | memory that was not the tensor's | `freed`, `text_bytes`, `fill`, `zeros`, `repeated`, `shared`, `overlap` |
//! | `S01x` | bytes read as another type | `reinterpret` |
//! | `S02x` | values | `not_finite`, `constant` |
//! | `S03x` | bookkeeping | `duplicates`, `positions`, `layers`, `order`, `mixed`, `precision`, `contradictions`, `cut_short`, `payloads`, `lines` |
//!
//! A false alarm costs more than a miss: it sends somebody after a fault that does not exist, and the next finding is not
//! believed. A detector speaks only where sound tensors (sparse, heavy-tailed, constant, masked, repeated tokens) cannot
//! look like what it saw, and an [`Severity::Error`] means that the trace is damaged, not that the engine is wrong.

mod analyser;
mod constant;
mod contradictions;
mod cut_short;
mod duplicates;
mod fill;
mod finding;
mod freed;
mod layers;
mod lines;
mod mixed;
mod not_finite;
mod observed;
mod order;
mod overlap;
mod payloads;
mod positions;
mod precision;
mod reinterpret;
mod render;
mod repeated;
mod report;
mod shared;
mod spans;
mod text_bytes;
mod text_grid;
mod tokens;
mod window;
mod zeros;

pub use analyser::{Soundness, is_damaged};
pub use finding::{Finding, Records, Severity};
pub use render::{render_findings, render_json, render_text};
pub use report::{SoundnessReport, check_trace};
