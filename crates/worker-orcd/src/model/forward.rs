//! The forward pass.

use candle_core::{Result, Tensor};

use super::attention::Attention;
use super::cache::{Cache, LayerCache};
use super::feed_forward::FeedForward;
use super::labels::{BlockLabels, ModelLabels};
use crate::config::Config;
use crate::ops::{At, Branch, Engine, Linear, Norm, Operations, Projection, Rotation, Which};
use crate::place::Place;
use crate::trace::Pass;

/// A loaded model.
pub struct Model {
    pub(super) config: Config,
    pub(super) ops: Engine,
    pub(super) place: Place,
    pub(super) embedding: Tensor,
    /// Learned positions, `[context, embedding]`.
    pub(super) positions: Option<Tensor>,
    pub(super) blocks: Vec<Block>,
    pub(super) final_norm: Norm,
    pub(super) logits: Linear,
    pub(super) labels: ModelLabels,
}

pub(super) struct Block {
    pub(super) attn_norm: Norm,
    pub(super) attention: Attention,
    pub(super) ffn_norm: Norm,
    pub(super) feed_forward: FeedForward,
    pub(super) labels: BlockLabels,
}

impl Model {
    /// The model's hyper-parameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where and in which type it computes.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Number of tokens in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.embedding.dims()[0]
    }

    /// Feeds `tokens` at absolute positions `first…` and returns their logits.
    ///
    /// `cache` holds the keys and values of all tokens before `first` and gets those of `tokens`.
    /// Every checkpoint is logged through `orch_log!`.
    ///
    /// # Shape
    ///
    /// `[tokens, vocabulary]`.
    ///
    /// # Errors
    ///
    /// When a token id is not in the vocabulary or the cache is full.
    pub fn forward(
        &self,
        tokens: &[u32],
        first: usize,
        step: u64,
        cache: &mut Cache,
    ) -> Result<Tensor> {
        let pass = Pass::new(first, tokens.len(), step);
        let positions: Vec<usize> = (first..first + tokens.len()).collect();
        let rope = self.config.rope.as_ref();
        let rotation = rope
            .map(|rope| Rotation::new(rope, &positions, &self.place))
            .transpose()?;
        pass.log_tokens(tokens);
        let given = Given {
            ids: &Tensor::new(tokens, &self.place.device)?,
            rotation: rotation.as_ref(),
            mask: None,
        };
        self.pass(&given, &pass, cache)
    }

    /// The pass itself: nothing in it comes from the host, unless the operations make a mask.
    pub(super) fn pass(&self, given: &Given<'_>, pass: &Pass, cache: &mut Cache) -> Result<Tensor> {
        let ops = &self.ops;
        let at = At {
            layer: None,
            first: pass.first,
            rows: pass.rows,
            step: pass.step,
        };
        let mut x = ops.embed(at, &self.embedding, given.ids)?;
        if let Some(table) = &self.positions {
            x = ops.embed_positions(at, table, &x)?;
        }
        pass.log(&self.labels.embedding, &x);
        for (index, (block, cache)) in self.blocks.iter().zip(&mut cache.layers).enumerate() {
            let at = At {
                layer: Some(index),
                ..at
            };
            x = block.forward(ops, at, &x, given, cache, pass)?;
        }
        let x = ops.norm(at, Which::Final, &x, &self.final_norm)?;
        pass.log(&self.labels.final_norm, &x);
        let logits = ops.project(at, Projection::Logits, &x, &self.logits)?;
        pass.log(&self.labels.logits, &logits);
        pass.end(&logits);
        Ok(logits)
    }
}

/// What a pass computes from, besides weights and cache.
pub(super) struct Given<'a> {
    /// Token ids.
    pub(super) ids: &'a Tensor,
    /// None where positions are learned.
    pub(super) rotation: Option<&'a Rotation>,
    /// Instead of the operations' own.
    pub(super) mask: Option<&'a Tensor>,
}

impl Block {
    fn forward(
        &self,
        ops: &Engine,
        at: At,
        x: &Tensor,
        given: &Given<'_>,
        cache: &mut LayerCache,
        pass: &Pass,
    ) -> Result<Tensor> {
        let name = &self.labels;
        let h = ops.norm(at, Which::Attention, x, &self.attn_norm)?;
        pass.log(&name.attn_norm, &h);
        let attention = self.attention.forward(ops, at, &h, given, cache, pass)?;
        let x = ops.residual(at, Branch::Attention, x, &attention)?;
        pass.log(&name.attn_residual, &x);

        let h = ops.norm(at, Which::FeedForward, &x, &self.ffn_norm)?;
        pass.log(&name.ffn_norm, &h);
        let feed_forward = self.feed_forward.forward(ops, at, &h, pass)?;
        let x = ops.residual(at, Branch::FeedForward, &x, &feed_forward)?;
        pass.log(&name.output, &x);
        Ok(x)
    }
}
