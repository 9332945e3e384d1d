//! Borrowed tensors, as they are handed to the logger.

mod element;
mod loggable;
mod view;

pub use element::Element;
pub(crate) use element::Number;
pub use loggable::Loggable;
pub use view::{MAX_NDIM, TensorView};
