//! The attention half of a block.

use candle_core::{Result, Tensor};

use super::cache::LayerCache;
use super::labels::AttentionLabels;
use crate::ops::{At, Engine, Linear, Norm, Operations, Projection, QueryOrKey, Rotation, Which};
use crate::trace::Pass;

pub(super) struct Attention {
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) out: Linear,
    pub(super) q_norm: Option<Norm>,
    pub(super) k_norm: Option<Norm>,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) labels: AttentionLabels,
}

impl Attention {
    /// `x` is the normed stream, `[tokens, embedding]`; so is the result, before the residual is added.
    pub(super) fn forward(
        &self,
        ops: &Engine,
        at: At,
        x: &Tensor,
        rotation: &Rotation,
        cache: &mut LayerCache,
        pass: &Pass,
    ) -> Result<Tensor> {
        let name = &self.labels;
        let heads = |x: Tensor, heads| x.reshape((at.rows, heads, self.head_dim));

        let q = heads(ops.project(at, Projection::Query, x, &self.q)?, self.heads)?;
        pass.log(&name.q, &q);
        let k = heads(ops.project(at, Projection::Key, x, &self.k)?, self.kv_heads)?;
        pass.log(&name.k, &k);
        let v = heads(
            ops.project(at, Projection::Value, x, &self.v)?,
            self.kv_heads,
        )?;
        pass.log(&name.v, &v);

        let (q, k) = self.normed(ops, at, q, k, pass)?;
        let q = ops.rope(at, QueryOrKey::Query, &q, rotation)?;
        pass.log(&name.q_rope, &q);
        let k = ops.rope(at, QueryOrKey::Key, &k, rotation)?;
        pass.log(&name.k_rope, &k);

        let (keys, values) = ops.remember(at, cache, &k, &v)?;
        let scores = ops.scores(at, &q, &keys)?;
        pass.log_heads_first(&name.scores, &scores);
        let mask = ops.mask(at, keys.dim(0)?)?;
        let probs = ops.softmax(at, &scores, mask.as_ref())?;
        pass.log_heads_first(&name.probs, &probs);
        let context = ops.context(at, &probs, &values)?;
        pass.log(&name.context, &context);

        let context = context.reshape((at.rows, self.heads * self.head_dim))?;
        let out = ops.project(at, Projection::AttentionOut, &context, &self.out)?;
        pass.log(&name.out, &out);
        Ok(out)
    }

    /// The norms of single heads, in the models that have them.
    fn normed(
        &self,
        ops: &Engine,
        at: At,
        q: Tensor,
        k: Tensor,
        pass: &Pass,
    ) -> Result<(Tensor, Tensor)> {
        let q = match &self.q_norm {
            Some(norm) => {
                let q = ops.norm(at, Which::Query, &q, norm)?;
                pass.log(&self.labels.q_norm, &q);
                q
            }
            None => q,
        };
        let k = match &self.k_norm {
            Some(norm) => {
                let k = ops.norm(at, Which::Key, &k, norm)?;
                pass.log(&self.labels.k_norm, &k);
                k
            }
            None => k,
        };
        Ok((q, k))
    }
}
