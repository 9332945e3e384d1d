//! Operations of which one is replaced by a closure: what most faults are.

use candle_core::quantized::QTensor;
use candle_core::{Result, Tensor};

use crate::arch::Activation;
use crate::error;
use crate::model::LayerCache;
use crate::ops::{
    At, Branch, Heads, Linear, Matrix, Norm, Operations, Projection, QueryOrKey, Rotation, Slot,
    Which,
};

/// What a fault is built as.
pub(super) type Built = error::Result<Box<dyn Operations>>;

macro_rules! replaced {
    ($name:ident, $method:ident($($arg:ident: $type:ty),*) -> $out:ty) => {
        struct $name<F>(F);

        impl<F: Fn($($type),*) -> $out + Send + Sync> Operations for $name<F> {
            fn $method(&self, $($arg: $type),*) -> $out {
                (self.0)($($arg),*)
            }
        }

        /// The operations of an engine that gets this one from `operation`.
        pub(super) fn $method(
            operation: impl Fn($($type),*) -> $out + Send + Sync + 'static,
        ) -> Built {
            Ok(Box::new($name(operation)))
        }
    };
}

replaced!(Source, source(slot: Slot<'_>) -> String);
replaced!(Stored, matrix(slot: Slot<'_>, stored: QTensor) -> Result<Matrix>);
replaced!(Vector, vector(slot: Slot<'_>, vector: Tensor) -> Result<Option<Tensor>>);
replaced!(Embed, embed(at: At, table: &Tensor, ids: &Tensor) -> Result<Tensor>);
replaced!(Learned, embed_positions(at: At, table: &Tensor, x: &Tensor) -> Result<Tensor>);
replaced!(Normed, norm(at: At, which: Which, x: &Tensor, norm: &Norm) -> Result<Tensor>);
replaced!(Projected, project(at: At, which: Projection, x: &Tensor, linear: &Linear) -> Result<Tensor>);
replaced!(Split, split(at: At, fused: &Tensor, heads: Heads) -> Result<[Tensor; 3]>);
replaced!(Rotated, rope(at: At, which: QueryOrKey, x: &Tensor, rotation: &Rotation) -> Result<Tensor>);
replaced!(Remembered, remember(at: At, cache: &mut LayerCache, k: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor)>);
replaced!(Scores, scores(at: At, q: &Tensor, keys: &Tensor) -> Result<Tensor>);
replaced!(Mask, mask(at: At, kv: usize) -> Result<Option<Tensor>>);
replaced!(Softmax, softmax(at: At, scores: &Tensor, mask: Option<&Tensor>) -> Result<Tensor>);
replaced!(Context, context(at: At, probs: &Tensor, values: &Tensor) -> Result<Tensor>);
replaced!(Activated, activate(at: At, activation: Activation, gate: &Tensor, up: Option<&Tensor>) -> Result<Tensor>);
replaced!(Added, residual(at: At, branch: Branch, stream: &Tensor, added: &Tensor) -> Result<Tensor>);
