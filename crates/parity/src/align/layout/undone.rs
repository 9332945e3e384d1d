//! Differences of layout that were undone before two tensors were compared.

use std::fmt;

/// A difference of layout that says nothing about the numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Undone {
    /// Rows of a batch against single tokens, or against batches of another size.
    BatchRows,
    /// Heads as an axis of their own on one side, side by side in a row on the other.
    HeadsMerged,
    /// The axes are in another order.
    AxesSwapped,
    /// The shape is written innermost axis first.
    ShapeReversed,
    /// The record does not say which axis holds the tokens; one alone has their number.
    TokenAxisFound,
    /// One product for several checkpoints.
    Fused,
    /// Fused on both sides: compared as one tensor.
    FusedOnBothSides,
    /// Logits of tokens that do not exist.
    PaddedVocabulary,
    /// Room for keys that do not exist yet.
    PaddedKeys,
    /// Each half of a head's lanes side by side on one side, alternating on the other.
    LanesInterleaved,
    /// Slices of a tensor-parallel run, put together.
    ShardsMerged,
}

impl Undone {
    /// The stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BatchRows => "batch-rows",
            Self::HeadsMerged => "heads-merged",
            Self::AxesSwapped => "axes-swapped",
            Self::ShapeReversed => "shape-reversed",
            Self::TokenAxisFound => "token-axis-found",
            Self::Fused => "fused",
            Self::FusedOnBothSides => "fused-on-both-sides",
            Self::PaddedVocabulary => "padded-vocabulary",
            Self::PaddedKeys => "padded-keys",
            Self::LanesInterleaved => "lanes-interleaved",
            Self::ShardsMerged => "shards-merged",
        }
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BatchRows => "rows of a batch were compared with those of smaller batches or single tokens",
            Self::HeadsMerged => "heads are an axis on one side and lie side by side in a row on the other",
            Self::AxesSwapped => "axes are in another order",
            Self::ShapeReversed => "the shape is written innermost axis first on one side; the numbers lie alike",
            Self::TokenAxisFound => {
                "a record does not say which axis holds the tokens; only one axis has as many places as there are tokens"
            }
            Self::Fused => "one side computes several checkpoints in one product; its parts were compared",
            Self::FusedOnBothSides => "both sides compute several checkpoints in one product, which was compared whole",
            Self::PaddedVocabulary => {
                "one side has more logits than the other; those past the shorter vocabulary were not compared"
            }
            Self::PaddedKeys => "one side has room for keys that do not exist yet; those were not compared",
            Self::LanesInterleaved => {
                "one side has the two lanes that are rotated together next to each other, the other half a head apart \
                 (weights converted for the other kind of rotation); scores do not depend on it"
            }
            Self::ShardsMerged => "slices of a tensor-parallel run were put together",
        })
    }
}
