//! The model: weights, key-value cache and the instrumented forward pass.

mod attention;
mod cache;
mod feed_forward;
mod forward;
#[cfg(feature = "cuda")]
mod graph;
pub(crate) mod labels;
mod load;

pub use cache::{Cache, KvType, LayerCache};
pub use forward::Model;
#[cfg(feature = "cuda")]
pub use graph::DecodeGraph;
pub use load::MatMul;
