//! Borrowed tensors, as they are handed to the logger.

mod element;
mod float8;
mod loggable;
mod view;

pub use element::Element;
pub use element::Number;
#[cfg(test)]
pub(crate) use element::internals::Internals;
pub use float8::{F8E4m3, F8E5m2};
pub use loggable::Loggable;
pub use view::{MAX_NDIM, TensorView};
