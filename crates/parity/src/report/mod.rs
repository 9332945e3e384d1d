//! The result of a comparison, and its renderings.

mod blame_words;
mod build;
mod build_alignment;
mod build_blame;
mod build_figures;
mod build_findings;
mod build_pair;
mod json;
mod number;
mod reasons;
mod render;
pub mod text;
pub mod v1;
pub mod words;

pub(crate) use build::{Material, build};
pub(crate) use build_alignment::map_uses;
pub use json::Json;
pub use number::Number;
pub use render::Render;
pub use text::Text;
