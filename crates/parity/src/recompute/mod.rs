//! What an operation should have given, from what it was given.
//!
//! [`operation`] tells how a checkpoint is computed in a model of some architecture: from which checkpoints, with
//! which weights, by which formula. [`recompute`] does it, in f64 or with the engine's own roundings, as the model says
//! or under a [`Hypothesis`].

mod blocks;
mod deviation;
mod doubt;
mod evaluate;
mod form;
pub(crate) mod formula;
mod graph;
mod hparams;
mod hypothesis;
mod inputs;
mod kind;
mod local;
mod nearest;
mod operation;
mod through;
mod weights;

pub use blocks::Blocks;
pub use deviation::Deviation;
pub(crate) use deviation::distance;
pub(crate) use doubt::recompute_near;
pub use evaluate::{Failure, multiply, recompute, round_to};
pub(crate) use evaluate::{expert_sum, expert_weights, looked_up_gelu, matmul, most_probable};
pub use form::{Experts, Form, Windows};
pub use graph::operation;
pub use hparams::{Hparams, Metadata, RopeScaling, TensorInfo};
pub use hypothesis::{Change, Hypothesis};
pub use inputs::{Inputs, Missing};
pub use kind::{
    Activate, Activation, Attend, Embed, ExpertLinear, ExpertWeights, Factor, Frequencies, HeadMap,
    Kind, Linear, Norm, Pairing, Positions, Probs, Residual, Rope, Scores, Statistic, View,
    WeightLayout,
};
pub use local::{LocalError, Unknown, local_error, propagated};
pub use operation::{Input, Operation, Rows};
pub use through::{Traced, gather_through};
pub use weights::{Arithmetic, Weight, Weights};
