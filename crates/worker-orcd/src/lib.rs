//! `worker-orcd`: a small inference engine on candle, the candidate that is compared with llama.cpp.
//!
//! It loads a GGUF ([`gguf`]), tokenizes as the file says ([`tokenizer`]), and runs a forward pass whose
//! every checkpoint goes through `orch_log!` ([`model`]), as the author of an engine would instrument
//! theirs. With the cargo feature `faults` it can make mistakes on demand (module `faults`).
//!
//! The library neither prints nor exits.

pub mod arch;
pub mod config;
pub mod describe;
mod error;
#[cfg(feature = "faults")]
pub mod faults;
pub mod generate;
pub mod gguf;
pub mod model;
pub mod ops;
pub mod place;
pub mod tokenizer;
mod trace;

pub use error::{Error, Result};
