//! The architectures that the engine runs: a table, one row each.
//!
//! What a GGUF shows by itself is not in the table: the loader takes biases, query and key norms, an
//! untied output matrix, fused projections, a gate or rope frequency factors wherever the file has them.

/// Which two lanes of a head the rotary embedding turns together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Lanes 2i and 2i+1: ggml's NORM, GGUFs of the Llama family (their Q and K rows were reordered for it).
    Adjacent,
    /// Lanes i and i + d/2: ggml's NEOX, most others.
    HalfSplit,
}

/// How a token knows where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Queries and keys are rotated.
    Rotary(Pairing),
    /// A vector is added to the embedding: tensor `position_embd.weight`.
    Learned,
}

/// What norms do besides multiplying with a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Divide by the root of the mean square.
    RootMeanSquare,
    /// Subtract the mean first, add a bias last.
    Layer,
}

/// The non-linearity of the feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + e⁻ˣ)`.
    Silu,
    /// The tanh form of GELU, through ggml's half-precision table.
    Gelu,
}

/// One architecture, as far as a GGUF does not tell.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// The value of `general.architecture`, which is also the prefix of its metadata keys.
    pub name: &'static str,
    /// Its positions. Source of the pairing: `llama_model_rope_type` in llama.cpp.
    pub positions: Positions,
    /// All its norms.
    pub norm: NormKind,
    /// Between the matrices of its feed-forward network.
    pub activation: Activation,
}

/// The Llama family, from which most others differ in little.
const LLAMA: Architecture = Architecture {
    name: "llama",
    positions: Positions::Rotary(Pairing::Adjacent),
    norm: NormKind::RootMeanSquare,
    activation: Activation::Silu,
};

/// Every architecture that the engine runs.
pub const ARCHITECTURES: &[Architecture] = &[
    LLAMA,
    Architecture {
        name: "qwen2",
        positions: Positions::Rotary(Pairing::HalfSplit),
        ..LLAMA
    },
    Architecture {
        name: "qwen3",
        positions: Positions::Rotary(Pairing::HalfSplit),
        ..LLAMA
    },
    Architecture {
        name: "gpt2",
        positions: Positions::Learned,
        norm: NormKind::Layer,
        activation: Activation::Gelu,
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
