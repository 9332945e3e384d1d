//! What happens inside the eval callback, of the crate `ggml-callback`, on the llama.cpp that this crate links.

pub(crate) mod linked;

pub use ggml_callback::*;
