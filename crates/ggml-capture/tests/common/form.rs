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
    pub(crate) qk_norm: bool,
    /// One product for Q, K and V.
    pub(crate) fused_qkv: bool,
    pub(crate) gated: bool,
    pub(crate) activation: fn(f64) -> f64,
    /// A table of learned positions.
    pub(crate) positions: bool,
    /// How far a batch may be from token by token, as relative RMSE. A rounding that flips in GELU's table of `f16`
    /// is carried on.
    pub(crate) batch_limit: f64,
}

pub(crate) const LAYERS: usize = 3;
pub(crate) const EMBEDDING: usize = 128;
pub(crate) const HEADS: usize = 4;
pub(crate) const VOCABULARY: usize = 512;

const LLAMA: Form = Form {
    architecture: Architecture::Llama,
    heads_kv: 2,
    head_dim: 32,
    epsilon: 1e-5,
    layer_norm: false,
    rope: Some((10_000.0, true)),
    qk_norm: false,
    fused_qkv: false,
    gated: true,
    activation: silu,
    positions: false,
    batch_limit: 2e-6,
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
];

impl Form {
    pub(crate) fn of(architecture: Architecture) -> Self {
        let found = FORMS.iter().find(|form| form.architecture == architecture);
        *found.expect("every architecture has a form")
    }

    pub(crate) fn model(&self, folder: &Path) -> std::path::PathBuf {
        super::tiny_model(folder, self.architecture)
    }
}
