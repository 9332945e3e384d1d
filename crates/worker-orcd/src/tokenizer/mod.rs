//! Text to token ids and back, from a GGUF alone, in agreement with llama.cpp.

mod bytes;
mod load;
mod pre;
mod special;

pub use load::Tokenizer;
pub use pre::PRE_TOKENIZERS;
