//! Where in the model and in the sequence an operation is carried out.

/// The layer and the token positions that an operation works on.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Block index; none for the embedding, the final norm and the logits.
    pub layer: Option<usize>,
    /// Absolute position of the first row.
    pub first: usize,
    /// Rows, that is token positions.
    pub rows: usize,
    /// Forward pass, 0 = prefill.
    pub step: u64,
}

/// A tensor's place in a GGUF: `blk.3.attn_q.weight` is layer 3, `attn_q.weight`.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// Block index; none for tensors outside blocks.
    pub layer: Option<usize>,
    /// Name without the `blk.N.` prefix.
    pub name: &'a str,
}

impl Slot<'_> {
    /// The tensor's full name in the file.
    pub fn full_name(&self) -> String {
        match self.layer {
            Some(layer) => format!("blk.{layer}.{}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// The shape of a model's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads.
    pub key: usize,
    /// Width of a head.
    pub dim: usize,
}

/// A matrix product of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// Hidden state to queries.
    Query,
    /// Hidden state to keys.
    Key,
    /// Hidden state to values.
    Value,
    /// Hidden state to queries, keys and values in one product.
    Fused,
    /// Attention context to the residual stream.
    AttentionOut,
    /// Hidden state to the gate of the feed-forward network.
    Gate,
    /// Hidden state to what is gated.
    Up,
    /// Feed-forward network to the residual stream.
    Down,
    /// Final norm to logits.
    Logits,
}

/// A norm of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Before attention.
    Attention,
    /// Before the feed-forward network.
    FeedForward,
    /// Of each query head.
    Query,
    /// Of each key head.
    Key,
    /// Before the logits.
    Final,
}

/// Queries or keys, where both go through the same operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryOrKey {
    /// Queries.
    Query,
    /// Keys.
    Key,
}

/// What is added to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Attention.
    Attention,
    /// The feed-forward network.
    FeedForward,
}
