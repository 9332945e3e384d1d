//! The trace format, version 1: what a record is, how it is written and how it is read.
//!
//! `spec/trace-format.md` is the contract; `spec/vectors/` are its examples.

mod dtype;
mod event;
pub(crate) mod number;
mod payload_ref;
mod run_file;
mod short;
pub(crate) mod text;
pub(crate) mod writer;

#[cfg(feature = "read")]
mod cursor;
#[cfg(feature = "read")]
mod decimal;
#[cfg(feature = "read")]
mod parser;
#[cfg(feature = "read")]
mod parts;
#[cfg(feature = "read")]
mod record;
#[cfg(feature = "read")]
mod run_parser;

pub use dtype::{Dtype, TypeName};
pub use event::{Event, Shape, Shard};
pub use payload_ref::PayloadRef;
pub use run_file::{ModelInfo, Run, RunFile};

#[cfg(feature = "read")]
pub use cursor::ParseError;
#[cfg(feature = "read")]
pub use parser::{Parsed, parse_line, parse_line_into, resync};
#[cfg(feature = "read")]
pub use record::Record;
#[cfg(feature = "read")]
pub use run_parser::parse_run;

pub use crate::summary::{Sketch, Stats};

/// The version of the format that this crate writes, `format_version` in `run.json`.
pub const FORMAT_VERSION: u64 = 1;

/// The reserved checkpoint that holds the token ids of a forward pass.
pub const TOKENS: &str = "tokens";

/// The reserved checkpoint that says how many records were lost.
pub const DROPPED: &str = "orch_log.dropped";
