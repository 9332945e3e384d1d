//! Planted faults: mistakes that real engines have made, on demand.
//!
//! A fault is an implementation of [`Operations`](crate::ops::Operations) that overrides the operation
//! in which an engine would make the mistake: in the loader, the cache or the arithmetic, never in the
//! logged numbers. [`Planted`] carries it out in the chosen layer and token and is correct everywhere
//! else. To add one: implement it in the file of its family and add a row to that file's table.

mod activation;
mod attention;
mod cache;
mod norm;
mod params;
mod planted;
mod registry;
mod rope;
mod spec;
mod weights;

pub use params::{Param, Params};
pub use planted::Planted;
pub use registry::{Fault, Needs, all, find};
pub use spec::FaultSpec;
