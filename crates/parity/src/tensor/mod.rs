//! Shapes, storage types and which elements of a pair are compared.

mod decode;
mod dense;
mod numbers;
mod region;
mod shape;

pub use decode::{Undecodable, decode, decode_f32};
pub use dense::Dense;
pub(crate) use numbers::narrowed;
pub use numbers::{Block, Blocks, Numbers};
pub use region::Region;
pub use shape::{coordinates, element_count, format_shape, without_token_axis};
