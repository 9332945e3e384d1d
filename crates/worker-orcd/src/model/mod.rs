//! The model: weights, key-value cache and the instrumented forward pass.

mod attention;
mod cache;
mod feed_forward;
mod forward;
pub(crate) mod labels;
mod load;

pub use cache::{Cache, KvType, LayerCache};
pub use forward::Model;
pub use load::MatMul;
