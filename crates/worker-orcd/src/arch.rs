//! The architectures that the engine runs: a table, one row each.
//!
//! What a GGUF shows by itself is not in the table: the loader takes biases, query and key norms, an
//! untied output matrix or rope frequency factors wherever the file has them.

/// Which two lanes of a head the rotary embedding turns together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Lanes 2i and 2i+1: ggml's NORM, GGUFs of the Llama family (their Q and K rows were reordered for it).
    Adjacent,
    /// Lanes i and i + d/2: ggml's NEOX, most others.
    HalfSplit,
}

/// One architecture, as far as a GGUF does not tell.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// The value of `general.architecture`, which is also the prefix of its metadata keys.
    pub name: &'static str,
    /// How its rotary embedding pairs lanes. Source: `llama_model_rope_type` in llama.cpp.
    pub pairing: Pairing,
}

/// Every architecture that the engine runs.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "llama",
        pairing: Pairing::Adjacent,
    },
    Architecture {
        name: "qwen2",
        pairing: Pairing::HalfSplit,
    },
];

impl Architecture {
    /// The architecture of this name, if the engine runs it.
    pub fn find(name: &str) -> Option<&'static Self> {
        ARCHITECTURES
            .iter()
            .find(|architecture| architecture.name == name)
    }
}
