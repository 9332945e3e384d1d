//! Runs unmodified llama.cpp and logs its forward pass under canonical checkpoint names.
//!
//! llama.cpp asks an eval callback about every node of its compute graph and hands the computed tensor
//! over; nothing in it is patched. [`run`] is the whole job: load, tokenise, decode, log.
//! [`capture`] is what happens inside the callback, [`llama`] the safe wrapper underneath,
//! [`models`] inspects, converts and makes GGUF files.
//!
//! Without the feature `linked` only [`capture`] is there, which needs no llama.cpp: for those who get the nodes of another
//! program's graph.

pub mod capture;
#[cfg(feature = "linked")]
mod error;
#[cfg(feature = "linked")]
pub mod llama;
#[cfg(feature = "linked")]
pub mod models;
#[cfg(feature = "linked")]
mod run;

#[cfg(feature = "linked")]
pub use error::Error;
#[cfg(feature = "linked")]
pub use run::{Config, Progress, Summary, Timings, run};
