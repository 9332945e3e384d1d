//! What is known of the tiny models without reading any code of the capture.

use std::path::Path;

use ggml_capture::models::Architecture;

use super::maths::{ggml_gelu, silu};

/// The mathematics of an architecture.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub(crate) architecture: Architecture,
    pub(crate) heads_kv: usize,
    pub(crate) head_dim: usize,
    pub(crate) epsilon: f64,
    /// Layer norms with a bias, not root mean squares.
    pub(crate) layer_norm: bool,
    /// Base, and whether pairs are neighbours.
    pub(crate) rope: Option<(f64, bool)>,
    /// Tensor of factors that the frequencies are divided by.
    pub(crate) rope_factors: Option<&'static str>,
    pub(crate) qk_norm: bool,
    /// One product for Q, K and V.
    pub(crate) fused_qkv: bool,
    pub(crate) gated: bool,
    /// One product for gate and up.
    pub(crate) fused_gate: bool,
    pub(crate) activation: fn(f64) -> f64,
    /// A table of learned positions.
    pub(crate) positions: bool,
    /// Factor of the embedding.
    pub(crate) scale: f64,
    /// Norms after attention and after the feed-forward part.
    pub(crate) post_norms: bool,
    pub(crate) score_cap: Option<f64>,
    pub(crate) logit_cap: Option<f64>,
    pub(crate) window: Option<Window>,
    pub(crate) experts: Option<Experts>,
    /// How far a batch may be from token by token, as relative RMSE. A rounding that flips in GELU's table of `f16`
    /// is carried on.
    pub(crate) batch_limit: f64,
}

/// A mixture of experts.
#[derive(Clone, Copy)]
pub(crate) struct Experts {
    pub(crate) feed_forward: usize,
    /// The weights of the chosen are made to sum to one.
    pub(crate) normalised: bool,
    /// Elements of the expert that all tokens share.
    pub(crate) shared: Option<usize>,
}

/// Experts, and how many of them a token chooses.
pub(crate) const EXPERTS: (usize, usize) = (6, 2);

/// The sliding window of every other block, the first included.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// Positions seen, the own one included.
    pub(crate) length: usize,
    /// Base of the rotation inside.
    pub(crate) base: f64,
}

pub(crate) const LAYERS: usize = 3;
pub(crate) const EMBEDDING: usize = 128;
pub(crate) const HEADS: usize = 4;
pub(crate) const FEED_FORWARD: usize = 224;
pub(crate) const VOCABULARY: usize = 512;

const LLAMA: Form = Form {
    architecture: Architecture::Llama,
    heads_kv: 2,
    head_dim: 32,
    epsilon: 1e-5,
    layer_norm: false,
    rope: Some((10_000.0, true)),
    rope_factors: None,
    qk_norm: false,
    fused_qkv: false,
    gated: true,
    fused_gate: false,
    activation: silu,
    positions: false,
    scale: 1.0,
    post_norms: false,
    score_cap: None,
    logit_cap: None,
    window: None,
    experts: None,
    batch_limit: 2e-6,
};

/// What Gemma 2 and 3 share.
const GEMMA: Form = Form {
    head_dim: 48,
    epsilon: 1e-6,
    rope: Some((10_000.0, false)),
    activation: ggml_gelu,
    // √128
    scale: 11.313_708_498_984_76,
    post_norms: true,
    window: Some(Window {
        length: 4,
        base: 10_000.0,
    }),
    batch_limit: 5e-4,
    ..LLAMA
};

/// All tiny architectures.
pub(crate) const FORMS: &[Form] = &[
    LLAMA,
    Form {
        architecture: Architecture::Qwen2,
        epsilon: 1e-6,
        rope: Some((1_000_000.0, false)),
        ..LLAMA
    },
    Form {
        architecture: Architecture::Qwen3,
        head_dim: 48,
        epsilon: 1e-6,
        rope: Some((1_000_000.0, false)),
        qk_norm: true,
        ..LLAMA
    },
    Form {
        architecture: Architecture::Gpt2,
        heads_kv: 4,
        layer_norm: true,
        rope: None,
        fused_qkv: true,
        gated: false,
        activation: ggml_gelu,
        positions: true,
        batch_limit: 1e-4,
        ..LLAMA
    },
    Form {
        architecture: Architecture::Gemma2,
        score_cap: Some(2.0),
        logit_cap: Some(3.0),
        ..GEMMA
    },
    Form {
        architecture: Architecture::Gemma3,
        rope: Some((1_000_000.0, false)),
        qk_norm: true,
        ..GEMMA
    },
    Form {
        architecture: Architecture::Phi3,
        rope: Some((10_000.0, false)),
        rope_factors: Some("rope_factors_short.weight"),
        fused_qkv: true,
        fused_gate: true,
        ..LLAMA
    },
    Form {
        architecture: Architecture::Mixtral,
        rope: Some((1_000_000.0, true)),
        experts: Some(Experts {
            feed_forward: FEED_FORWARD,
            normalised: true,
            shared: None,
        }),
        ..LLAMA
    },
    Form {
        architecture: Architecture::Qwen2Moe,
        epsilon: 1e-6,
        rope: Some((1_000_000.0, false)),
        experts: Some(Experts {
            feed_forward: 96,
            normalised: false,
            shared: Some(160),
        }),
        ..LLAMA
    },
    Form {
        architecture: Architecture::Qwen3Moe,
        head_dim: 48,
        epsilon: 1e-6,
        rope: Some((1_000_000.0, false)),
        qk_norm: true,
        experts: Some(Experts {
            feed_forward: 96,
            normalised: true,
            shared: None,
        }),
        ..LLAMA
    },
];

impl Form {
    pub(crate) fn of(architecture: Architecture) -> Self {
        let found = FORMS.iter().find(|form| form.architecture == architecture);
        *found.expect("every architecture has a form")
    }

    /// The window of block `layer`, where it has one.
    pub(crate) fn window_of(&self, layer: usize) -> Option<Window> {
        self.window.filter(|_| layer.is_multiple_of(2))
    }

    pub(crate) fn model(&self, folder: &Path) -> std::path::PathBuf {
        super::tiny_model(folder, self.architecture)
    }
}
