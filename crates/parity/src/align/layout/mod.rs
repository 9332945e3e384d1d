//! Tensors that hold the same numbers in another order or shape.

mod reading;
mod resolve;
mod undone;
mod view;
mod viewed;

pub use reading::{Read, tokens_first};
pub use resolve::{Alternative, interleaved, resolve};
pub use undone::Undone;
pub use view::View;
pub use viewed::Viewed;
