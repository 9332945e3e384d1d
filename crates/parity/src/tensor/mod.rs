//! Shapes, storage types and which elements of a pair are compared.

mod decode;
mod dense;
mod numbers;
mod region;
mod shape;

pub use decode::{Undecodable, decode};
pub use dense::Dense;
pub use numbers::Numbers;
pub use region::Region;
pub use shape::{coordinates, element_count, format_shape, without_token_axis};
