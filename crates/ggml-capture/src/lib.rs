//! Runs unmodified llama.cpp and logs its forward pass under canonical checkpoint names.
//!
//! llama.cpp asks an eval callback about every node of its compute graph and hands the computed tensor
//! over; nothing in it is patched. [`run`] is the whole job: load, tokenise, decode, log.
//! [`capture`] is what happens inside the callback, [`llama`] the safe wrapper underneath,
//! [`models`] inspects, converts and makes GGUF files.

pub mod capture;
mod error;
pub mod llama;
pub mod models;
pub mod overhead;
mod run;

pub use error::Error;
pub use run::{Beside, Config, Observer, Progress, Summary, Timings, run, sha256};
