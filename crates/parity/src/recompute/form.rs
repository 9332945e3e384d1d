//! What sets the architectures apart beyond the numbers and tensors in their files.
//!
//! # Source
//!
//! llama.cpp's loaders and graphs, `src/models/*.cpp`, and for pairs of lanes `llama_model_rope_type`.

use super::kind::{Activation, Pairing};

/// The mathematics of an architecture, as far as its file does not say it.
///
/// What the file does say, is read from it: biases, norms of queries and keys, fused projections, experts and post-norms
/// by their tensors, everything numeric from the metadata.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Layer norms instead of root mean squares.
    pub layer_norm: bool,
    /// Which lanes are rotated together; `None` with learned positions.
    pub pairing: Option<Pairing>,
    /// The non-linearity of the feed-forward part.
    pub activation: Activation,
    /// Multiplies the embedding with √embedding.
    pub scaled_embedding: bool,
    /// Scales queries before they meet the keys, not the scores: where the cache is rounded, the scaled ones are.
    pub scaled_queries: bool,
    /// Blocks that see a window only.
    pub windows: Option<Windows>,
    /// Layers of the size whose scores are scaled by √(heads / embedding), not by √(1 / head_dim).
    pub wide_score_layers: usize,
    /// The mixture of experts, where there are experts.
    pub experts: Experts,
}

/// Which blocks see a window, and how long it is where the file does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// All but every `pattern`-th block; the first blocks have a window.
    pub pattern: usize,
    /// Positions; `None` where a file without a length has no windows.
    pub length: Option<usize>,
}

/// How the weights of chosen experts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// They are made to sum to one.
    pub normalised: bool,
}

const LLAMA: Form = Form {
    architecture: "llama",
    layer_norm: false,
    pairing: Some(Pairing::Adjacent),
    activation: Activation::Silu,
    scaled_embedding: false,
    scaled_queries: false,
    windows: None,
    wide_score_layers: 0,
    experts: Experts { normalised: true },
};

const QWEN2: Form = Form {
    architecture: "qwen2",
    pairing: Some(Pairing::Halves),
    ..LLAMA
};

const GEMMA: Form = Form {
    architecture: "gemma",
    activation: Activation::GeluTanh,
    scaled_embedding: true,
    scaled_queries: true,
    ..QWEN2
};

const FORMS: &[Form] = &[
    LLAMA,
    QWEN2,
    Form {
        architecture: "qwen3",
        ..QWEN2
    },
    Form {
        architecture: "qwen2moe",
        experts: Experts { normalised: false },
        ..QWEN2
    },
    Form {
        architecture: "qwen3moe",
        ..QWEN2
    },
    Form {
        architecture: "phi3",
        scaled_queries: true,
        ..QWEN2
    },
    Form {
        architecture: "gpt2",
        layer_norm: true,
        pairing: None,
        activation: Activation::GeluTanh,
        ..LLAMA
    },
    GEMMA,
    Form {
        architecture: "gemma2",
        windows: Some(Windows {
            pattern: 2,
            length: Some(4096),
        }),
        wide_score_layers: 46,
        ..GEMMA
    },
    Form {
        architecture: "gemma3",
        windows: Some(Windows {
            pattern: 6,
            length: None,
        }),
        wide_score_layers: 62,
        ..GEMMA
    },
];

impl Form {
    /// The form of an architecture; `None` for one that is not known here.
    pub fn of(architecture: &str) -> Option<&'static Self> {
        FORMS.iter().find(|form| form.architecture == architecture)
    }

    /// Names of all architectures that are known here.
    pub fn architectures() -> impl Iterator<Item = &'static str> {
        FORMS.iter().map(|form| form.architecture)
    }
}
