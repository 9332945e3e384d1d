//! The operations as one trait, so that each can be replaced by a faulty one.

use candle_core::quantized::QTensor;
use candle_core::{Result, Tensor};

use super::{
    At, Branch, Heads, Linear, Matrix, Norm, Projection, QueryOrKey, Rotation, Slot, Which,
    activation, attention, norm, rope,
};
use crate::arch::Activation;
use crate::model::LayerCache;

/// What the model computes with; the provided methods are the correct operations.
///
/// Loading: [`source`](Self::source), [`matrix`](Self::matrix), [`vector`](Self::vector). Forward pass, in the order of the data
/// flow: [`embed`](Self::embed) to [`residual`](Self::residual). Shapes are those of the functions of
/// the same names in this module.
///
/// # Errors
///
/// Every method fails when shapes do not fit.
pub trait Operations: Send + Sync {
    /// The name in the file of the tensor that belongs in `slot`.
    fn source(&self, slot: Slot<'_>) -> String {
        slot.full_name()
    }

    /// A weight matrix that was just read.
    fn matrix(&self, _slot: Slot<'_>, stored: QTensor) -> Result<Matrix> {
        Ok(Matrix::Stored(stored))
    }

    /// A bias or norm weight that was just read; `None` drops it.
    fn vector(&self, _slot: Slot<'_>, vector: Tensor) -> Result<Option<Tensor>> {
        Ok(Some(vector))
    }

    /// Token ids to rows of the embedding table: `[tokens, embedding]`.
    fn embed(&self, _at: At, table: &Tensor, ids: &Tensor) -> Result<Tensor> {
        table.index_select(ids, 0)
    }

    /// Adds the rows of the table of learned positions: `[tokens, embedding]` to the same.
    fn embed_positions(&self, at: At, table: &Tensor, x: &Tensor) -> Result<Tensor> {
        x + table.narrow(0, at.first, at.rows)?
    }

    /// A norm over the last axis.
    fn norm(&self, _at: At, _which: Which, x: &Tensor, norm: &Norm) -> Result<Tensor> {
        norm::norm(x, norm)
    }

    /// A matrix product with bias.
    fn project(&self, _at: At, _which: Projection, x: &Tensor, linear: &Linear) -> Result<Tensor> {
        linear.forward(x)
    }

    /// Cuts `[tokens, (heads + 2 kv_heads) head_dim]` into queries, keys and values.
    fn split(&self, _at: At, fused: &Tensor, heads: Heads) -> Result<[Tensor; 3]> {
        attention::split(fused, heads)
    }

    /// The rotary embedding.
    fn rope(&self, _at: At, _which: QueryOrKey, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        rope::rotate(x, rotation)
    }

    /// Appends to the cache and returns all keys and values up to now: `[kv, kv_heads, head_dim]` each.
    fn remember(
        &self,
        at: At,
        cache: &mut LayerCache,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        cache.store(at.first, k, v)?;
        cache.read(at.first + at.rows)
    }

    /// Scaled scores.
    fn scores(&self, _at: At, q: &Tensor, keys: &Tensor) -> Result<Tensor> {
        let head_dim = q.dim(2)?;
        attention::scores(q, keys, 1.0 / (head_dim as f64).sqrt())
    }

    /// What is added to the scores before the softmax; `None` when every place is visible.
    fn mask(&self, at: At, kv: usize) -> Result<Option<Tensor>> {
        // A single row is the newest token, which sees all that is cached.
        if at.rows == 1 && kv == at.first + 1 {
            return Ok(None);
        }
        attention::causal_mask(at.first, at.rows, kv).map(Some)
    }

    /// Softmax of the masked scores.
    fn softmax(&self, _at: At, scores: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        attention::softmax(scores, mask)
    }

    /// Probabilities times values.
    fn context(&self, _at: At, probs: &Tensor, values: &Tensor) -> Result<Tensor> {
        attention::context(probs, values)
    }

    /// The non-linearity; without `up`, `gate` is all there is.
    fn activate(
        &self,
        _at: At,
        activation: Activation,
        gate: &Tensor,
        up: Option<&Tensor>,
    ) -> Result<Tensor> {
        activation::activate(activation, gate, up)
    }

    /// Adds a branch to the residual stream.
    fn residual(
        &self,
        _at: At,
        _branch: Branch,
        stream: &Tensor,
        branch: &Tensor,
    ) -> Result<Tensor> {
        stream + branch
    }
}

/// The correct operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Correct;

impl Operations for Correct {}
