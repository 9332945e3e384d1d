//! The result of a comparison, and its renderings.

mod blame_words;
mod build;
mod build_alignment;
mod build_blame;
mod build_cause;
mod build_cells;
mod build_figures;
mod build_findings;
mod build_inspection;
mod build_pair;
mod csv;
pub mod html;
mod json;
mod junit;
mod many;
mod markdown;
mod number;
#[cfg(feature = "parquet")]
mod parquet;
mod reasons;
mod render;
mod table;
pub mod text;
pub mod v1;
pub mod words;

pub(crate) use build::{Material, build};
pub(crate) use build_alignment::map_uses;
pub(crate) use build_blame::tolerances;
pub use build_cause::{causes, explanation, not_captured, rule};
pub(crate) use build_cells::{cells, edges};
pub(crate) use build_inspection::inspection;
pub use csv::Csv;
pub use html::Html;
pub use json::{Json, schema};
pub use junit::Junit;
pub use markdown::Markdown;
pub use number::Number;
#[cfg(feature = "parquet")]
pub use parquet::Parquet;
pub use render::{Render, RenderMany};
pub use text::{Screen, Text};
