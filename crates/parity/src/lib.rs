//! Compares two traces of the same model, record by record, and says where they first disagree.
//!
//! The data flows through the modules in this order: [`trace`] reads, [`check`] looks for damage and for reasons not
//! to compare, [`align`] finds the pairs, [`measure`] gives them numbers, [`judge`] tells rounding from divergence,
//! [`report`] shows the result. [`compare`] is all of it.
//!
//! Nothing here prints or exits, and only [`trace`] does I/O.
//!
//! # Example
//!
//! ```
//! use parity::{Options, compare, trace::Trace};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let line = |team: &str, value: f32| {
//!     format!(r#"{{"checkpoint":"logits","team":"{team}","token_idx":0,"dtype":"f32","shape":"[2]","values":[1.0,{value}]}}"#)
//! };
//! std::fs::write(folder.path().join("ref.jsonl"), line("llama.cpp", 2.0))?;
//! std::fs::write(folder.path().join("cand.jsonl"), line("my-engine", 2.5))?;
//!
//! let reference = Trace::open(folder.path().join("ref.jsonl"))?;
//! let candidate = Trace::open(folder.path().join("cand.jsonl"))?;
//! let report = compare(&reference, &candidate, &Options::default(), &mut |_| {})?;
//! assert_eq!(report.verdict, "diverged");
//! assert_eq!(report.worst[0].nmse.0, 0.25 / 5.0);
//! # Ok(())
//! # }
//! ```

pub mod align;
pub mod baseline;
pub mod check;
mod compare;
mod error;
pub mod explain;
pub mod judge;
pub mod measure;
pub mod recompute;
pub mod report;
pub mod tensor;
pub mod testing;
pub mod trace;
pub mod verify;
pub mod vote;

pub use compare::{Options, Which, calibrate, compare, compare_with_model, inspect, many, pairing};
pub use error::Error;
pub use judge::exit_code;
