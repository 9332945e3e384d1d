//! The arithmetic of an operation, free of where its numbers come from: what is recomputed under the model's own numbers, and what
//! hypotheses vary, are computed by the same lines.

mod attention;
mod norm;
mod rope;

pub(crate) use attention::{capped, mixed, products, softmax};
pub(crate) use norm::{inverse_root, normed, prepare};
pub(crate) use rope::{angle, lanes_of, turned};
