//! Planted faults: mistakes that real engines have made, on demand.
//!
//! A fault is an implementation of [`Operations`](crate::ops::Operations) that overrides the operation
//! in which an engine would make the mistake: in the loader, the cache or the arithmetic, never in the
//! logged numbers. [`Planted`] carries it out in the chosen layer and token and is correct everywhere
//! else. To add one: add a row to the table of its family's file.
//!
//! Families are those of a catalogue of mistakes found in real engines. Two of them are not here: mixtures of experts,
//! which the engine does not run, and whole runs over several devices.

mod activation;
mod bias;
mod buffers;
mod cache;
mod dequant;
mod graph;
mod kernel;
mod mask;
mod needs;
mod norm;
mod params;
mod planted;
mod positions;
mod precision;
mod registry;
mod replace;
mod residual;
mod rope_frequency;
mod rope_pairing;
mod scale;
mod scores;
mod spec;
mod tokens;
mod weights;

pub use needs::Needs;
pub use params::{Param, Params};
pub use planted::Planted;
pub use registry::{Fault, all, find};
pub use spec::FaultSpec;
