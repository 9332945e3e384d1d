//! Logs an inference engine's tensors without changing, slowing or stopping the engine.
//!
//! ```no_run
//! use orch_log::orch_log;
//! # fn forward() -> Vec<f32> { Vec::new() }
//! let (output, token_idx) = (forward(), 7);
//! orch_log!("layer_0_output", &output, token_idx);
//! ```
//!
//! Build with the feature `orch_logging` and run with `ORCH_LOG_FILE=run.jsonl`; each call appends one line
//! of JSON. Without the feature nothing of the calls remains in the program; without the variable
//! each costs one load and a branch.
//!
//! The trace format is specified in `spec/trace-format.md`. The settings are those of [`Settings`].
//! Engines that do not want macros or the environment use a [`Recorder`].
//!
//! # What is promised
//!
//! * One record is one `write(2)` to a descriptor opened with `O_APPEND`. When the call has returned,
//!   the record survives the end of the process, however it ends.
//! * No call panics, waits for another thread, or allocates once a thread's line buffer has grown.
//! * Nothing is printed, except one line on stderr when settings from the environment cannot be used.
//! * Works from any thread, in several processes on one file, after `fork`, and before `main` and after it.
//! * What could not be written is counted in [`Recorder::status`] and told by an `orch_log.dropped` record.

#[cfg(not(unix))]
compile_error!("orch-log relies on O_APPEND and pwrite of POSIX systems");
#[cfg(not(target_endian = "little"))]
compile_error!("orch-log writes payloads from memory as they are, which must be little-endian");

#[cfg(feature = "read")]
pub mod forced;
pub mod format;

#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "cuda")]
pub mod cuda;
mod global;
mod macros;
mod recorder;
mod settings;
mod summary;
mod tensor;

/// Whether `orch_log!` logs: the feature `orch_logging`.
///
/// A constant of this crate, because `cfg!` inside an exported macro would ask the caller's features.
pub const ENABLED: bool = cfg!(feature = "orch_logging");

pub use global::{flush_logs, global};
#[doc(hidden)]
pub use macros::__private;
pub use recorder::{Digest, Logged, Recorder, Status};
pub use settings::{Detail, Filter, Problem, Settings, TokenSet, Values};
pub use summary::{PROJECTIONS, Sketch, Stats};
pub use tensor::{Element, F8E4m3, F8E5m2, Loggable, MAX_NDIM, TensorView};
