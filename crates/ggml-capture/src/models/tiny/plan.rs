//! What an architecture consists of: hyperparameters and tensors, described by sizes that the model gives.

use super::table;

/// An architecture that [`tiny`](super::tiny) can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Interleaved rotation, no biases, tied embeddings.
    Llama,
    /// Half-split rotation, biases on Q, K and V, an output matrix of its own.
    Qwen2,
    /// Norms of queries and keys, heads larger than the embedding has room for.
    Qwen3,
    /// Layer norms, learned positions, biases everywhere, one projection for Q, K and V.
    Gpt2,
    /// Scaled embedding, norms after both parts of a block, soft caps of scores and logits, a sliding window in every
    /// other block.
    Gemma2,
    /// Scaled embedding, norms of queries and keys and after both parts of a block, a sliding window with a rotation of
    /// its own in every other block.
    Gemma3,
    /// One projection for Q, K and V, one for gate and up, rotation with a factor for each pair.
    Phi3,
    /// Llama with experts, of which each token chooses two.
    Mixtral,
    /// Experts whose weights are not made to sum to one, and one that all tokens share.
    Qwen2Moe,
    /// Norms of queries and keys, experts.
    Qwen3Moe,
}

/// A size that tensors and hyperparameters are described with.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// Elements of a token's vector.
    Embedding,
    /// Tokens in the vocabulary.
    Vocabulary,
    /// Positions that the model was made for.
    Context,
    /// Query heads.
    Heads,
    /// Key and value heads.
    HeadsKv,
    /// Elements of a head.
    HeadDim,
    /// Pairs of a head that are rotated together.
    Pairs,
    /// Elements of all query heads.
    Query,
    /// Elements of all key heads.
    Key,
    /// Elements of all query, key and value heads.
    Fused,
    /// Elements of the feed-forward part.
    FeedForward,
    /// Elements of the feed-forward part and its gate.
    GateAndUp,
    /// Experts.
    Experts,
    /// Elements of an expert.
    Expert,
    /// Elements of the expert that all tokens share.
    Shared,
}

/// Where a random tensor's numbers come from.
#[derive(Clone, Copy)]
pub(super) enum Fill {
    /// A matrix that keeps the magnitude of what it multiplies: standard deviation 1/√inputs.
    Matrix,
    /// A norm's weight, a factor.
    Around1,
    /// A bias large enough to be missed.
    Bias,
    /// A table of vectors.
    Table,
}

/// A hyperparameter.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Size(Size),
    Count(u32),
    Number(f32),
}

/// A tensor: name, dimensions innermost first, contents.
pub(super) type Row = (&'static str, &'static [Size], Fill);

/// Hyperparameters without the architecture's name in front.
pub(super) type Metadata = &'static [(&'static str, Value)];

/// What sets one architecture apart from another.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) metadata: &'static [Metadata],
    /// Tensors before the blocks.
    pub(super) before: &'static [Row],
    /// Tensors of every block.
    pub(super) block: &'static [&'static [Row]],
    /// Tensors after the blocks.
    pub(super) after: &'static [Row],
    /// Key and value heads, elements of a head.
    pub(super) heads: (usize, usize),
}

impl Plan {
    /// Nothing equals anything else where the architecture allows it, so that an exchanged axis shows.
    pub(super) fn size(&self, size: Size, vocabulary: usize) -> usize {
        let heads = 4;
        match size {
            Size::Embedding => 128,
            Size::Vocabulary => vocabulary,
            Size::Context => 1024,
            Size::Heads => heads,
            Size::HeadsKv => self.heads.0,
            Size::HeadDim => self.heads.1,
            Size::Pairs => self.heads.1 / 2,
            Size::Query => heads * self.heads.1,
            Size::Key => self.heads.0 * self.heads.1,
            Size::Fused => (heads + 2 * self.heads.0) * self.heads.1,
            Size::FeedForward => 224,
            Size::GateAndUp => 2 * 224,
            Size::Experts => 6,
            Size::Expert => 96,
            Size::Shared => 160,
        }
    }
}

impl Architecture {
    /// All of them by name; Mixtral calls itself `llama` in its GGUF files, all others as here.
    pub const ALL: [(&'static str, Self); 10] = [
        ("llama", Self::Llama),
        ("qwen2", Self::Qwen2),
        ("qwen3", Self::Qwen3),
        ("gpt2", Self::Gpt2),
        ("gemma2", Self::Gemma2),
        ("gemma3", Self::Gemma3),
        ("phi3", Self::Phi3),
        ("mixtral", Self::Mixtral),
        ("qwen2moe", Self::Qwen2Moe),
        ("qwen3moe", Self::Qwen3Moe),
    ];

    pub(super) fn plan(self) -> Plan {
        match self {
            Self::Llama => table::LLAMA,
            Self::Qwen2 => table::QWEN2,
            Self::Qwen3 => table::QWEN3,
            Self::Gpt2 => table::GPT2,
            Self::Gemma2 => table::GEMMA2,
            Self::Gemma3 => table::GEMMA3,
            Self::Phi3 => table::PHI3,
            Self::Mixtral => table::MIXTRAL,
            Self::Qwen2Moe => table::QWEN2MOE,
            Self::Qwen3Moe => table::QWEN3MOE,
        }
    }
}
