//! What a model must have for a fault to matter.

use candle_core::quantized::GgmlDType;

use crate::arch::{Activation, NormKind, Pairing};
use crate::config::Config;
use crate::gguf::GgufFile;

/// One thing that a model must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A rotary embedding.
    Rotary,
    /// A rotary embedding that turns adjacent lanes together.
    AdjacentPairs,
    /// A table of positions.
    LearnedPositions,
    /// Norms that divide by the root of the mean square.
    RmsNorm,
    /// Norms that subtract the mean.
    LayerNorm,
    /// This non-linearity.
    Activation(Activation),
    /// Fewer key heads than query heads, but more than one.
    GroupedHeads,
    /// More than one layer.
    SeveralLayers,
    /// As many rows as columns in the attention's query and output matrices.
    SquareAttention,
    /// A tensor of this name in its blocks.
    Tensor(&'static str),
    /// A tensor of this name outside its blocks.
    Outside(&'static str),
    /// Matrices of one of these types.
    Stored(&'static [GgmlDType]),
}

impl Needs {
    /// What the model lacks, in words; `None` when it has what is needed.
    pub fn missing(self, config: &Config, file: &GgufFile) -> Option<String> {
        let architecture = config.architecture;
        let rope = config.rope.as_ref();
        let query_width = config.heads * config.head_dim;
        let (has, missing) = match self {
            Self::Rotary => (rope.is_some(), "a rotary embedding".to_owned()),
            Self::AdjacentPairs => (
                rope.is_some_and(|rope| rope.pairing == Pairing::Adjacent),
                "a rotary embedding of adjacent lanes".to_owned(),
            ),
            Self::LearnedPositions => (rope.is_none(), "learned positions".to_owned()),
            Self::RmsNorm => (
                architecture.norm == NormKind::RootMeanSquare,
                "root-mean-square norms".to_owned(),
            ),
            Self::LayerNorm => (
                architecture.norm == NormKind::Layer,
                "layer norms".to_owned(),
            ),
            Self::Activation(activation) => (
                architecture.activation == activation,
                format!("{activation:?} in its feed-forward network"),
            ),
            Self::GroupedHeads => (
                config.kv_heads > 1 && config.kv_heads < config.heads,
                format!(
                    "more than one key head, and fewer than query heads (it has {} and {})",
                    config.kv_heads, config.heads
                ),
            ),
            Self::SeveralLayers => (config.layers > 1, "more than one layer".to_owned()),
            Self::SquareAttention => (
                query_width == config.embedding,
                format!(
                    "a square query matrix (it has {query_width} by {})",
                    config.embedding
                ),
            ),
            Self::Tensor(name) => (
                file.has(&format!("blk.0.{name}")),
                format!("a tensor `{name}` in its blocks"),
            ),
            Self::Outside(name) => (file.has(name), format!("a tensor `{name}`")),
            Self::Stored(types) => {
                // Every architecture has this one, and no quantiser keeps it wider than the others.
                let found = file.storage("blk.0.attn_output.weight");
                let names: Vec<String> = types
                    .iter()
                    .map(|dtype| format!("{dtype:?}").to_lowercase())
                    .collect();
                (
                    found.is_some_and(|found| types.contains(&found)),
                    format!("matrices stored as {}", names.join(" or ")),
                )
            }
        };
        (!has).then_some(missing)
    }
}
