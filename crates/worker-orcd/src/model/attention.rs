//! The attention half of a block.

use candle_core::{Result, Tensor};

use super::cache::LayerCache;
use super::forward::Given;
use super::labels::{AttentionLabels, Label};
use crate::ops::{At, Engine, Heads, Linear, Norm, Operations, Projection, QueryOrKey, Which};
use crate::place::Place;
use crate::trace::Pass;

pub(super) struct Attention {
    pub(super) projections: Projections,
    pub(super) out: Linear,
    pub(super) q_norm: Option<Norm>,
    pub(super) k_norm: Option<Norm>,
    pub(super) heads: Heads,
    pub(super) labels: AttentionLabels,
}

/// The matrices that make queries, keys and values.
pub(super) enum Projections {
    Separate { q: Linear, k: Linear, v: Linear },
    Fused(Linear),
}

impl Attention {
    /// `x` is the normed stream, `[tokens, embedding]`; so is the result, before the residual is added.
    ///
    /// Without a rotation, positions are in `x` already.
    pub(super) fn forward(
        &self,
        ops: &Engine,
        at: At,
        x: &Tensor,
        given: &Given<'_>,
        cache: &mut LayerCache,
        pass: &Pass,
    ) -> Result<Tensor> {
        let rotation = given.rotation;
        let name = &self.labels;
        let [q, k, v] = self.project(ops, at, x)?;
        pass.log(&name.q, &q);
        pass.log(&name.k, &k);
        pass.log(&name.v, &v);

        let normed = |which, x, norm: &Option<Norm>, label| match norm {
            Some(norm) => logged(pass, label, ops.norm(at, which, &x, norm)?),
            None => Ok(x),
        };
        let q = normed(Which::Query, q, &self.q_norm, &name.q_norm)?;
        let k = normed(Which::Key, k, &self.k_norm, &name.k_norm)?;
        let rotated = |which, x, label| match rotation {
            Some(rotation) => logged(pass, label, ops.rope(at, which, &x, rotation)?),
            None => Ok(x),
        };
        let q = rotated(QueryOrKey::Query, q, &name.q_rope)?;
        let k = rotated(QueryOrKey::Key, k, &name.k_rope)?;

        let (keys, values) = ops.remember(at, cache, &k, &v)?;
        let scores = ops.scores(at, &q, &keys)?;
        pass.log_heads_first(&name.scores, &scores);
        let mask = match given.mask {
            Some(mask) => Some(mask.clone()),
            None => ops.mask(at, keys.dim(0)?)?,
        };
        let mask = mask
            .map(|mask| Place::of(&scores).bring(&mask))
            .transpose()?;
        let probs = ops.softmax(at, &scores, mask.as_ref())?;
        pass.log_heads_first(&name.probs, &probs);
        let context = ops.context(at, &probs, &values)?;
        pass.log(&name.context, &context);

        let context = context.reshape((at.rows, self.heads.query * self.heads.dim))?;
        let out = ops.project(at, Projection::AttentionOut, &context, &self.out)?;
        logged(pass, &name.out, out)
    }

    /// Queries, keys and values, each `[tokens, heads, head_dim]`.
    fn project(&self, ops: &Engine, at: At, x: &Tensor) -> Result<[Tensor; 3]> {
        let [q, k, v] = match &self.projections {
            Projections::Separate { q, k, v } => [
                ops.project(at, Projection::Query, x, q)?,
                ops.project(at, Projection::Key, x, k)?,
                ops.project(at, Projection::Value, x, v)?,
            ],
            Projections::Fused(linear) => {
                let fused = ops.project(at, Projection::Fused, x, linear)?;
                ops.split(at, &fused, self.heads)?
            }
        };
        let heads = |x: Tensor, heads| x.reshape((at.rows, heads, self.heads.dim));
        Ok([
            heads(q, self.heads.query)?,
            heads(k, self.heads.key)?,
            heads(v, self.heads.key)?,
        ])
    }
}

fn logged(pass: &Pass, label: &Label, tensor: Tensor) -> Result<Tensor> {
    pass.log(label, &tensor);
    Ok(tensor)
}
