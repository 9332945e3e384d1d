//! A GGUF file: its metadata with types and its tensors, checked before they are used.

mod file;
mod metadata;

pub use file::GgufFile;
pub use metadata::Metadata;
