//! Mistakes in what is added to what.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Tensor};

use super::Fault;
use super::replace;
use crate::ops::{At, Branch, Norm, Operations, Which, norm as correct};

const FAMILY: Fault = Fault {
    family: "residual_wiring",
    first: "layer_{L}_attn_residual",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "residual-uses-normed",
        summary: "adds attention to the normed stream instead of the stream",
        build: |_, _| {
            Ok(Box::new(Rewired {
                kept: Mutex::default(),
                wiring: Wiring::Normed,
            }))
        },
        ..FAMILY
    },
    Fault {
        name: "residual-parallel",
        summary: "feeds the feed-forward network with the block's input, beside attention instead of after it",
        first: "layer_{L}_ffn_norm",
        build: |_, _| {
            Ok(Box::new(Rewired {
                kept: Mutex::default(),
                wiring: Wiring::Parallel,
            }))
        },
        ..FAMILY
    },
    Fault {
        name: "residual-from-block-input",
        summary: "adds the feed-forward network to the block's input, which loses attention",
        first: "layer_{L}_output",
        build: |_, _| {
            Ok(Box::new(Rewired {
                kept: Mutex::default(),
                wiring: Wiring::BlockInput,
            }))
        },
        ..FAMILY
    },
    Fault {
        name: "residual-stream-lost",
        summary: "goes on with attention's output alone",
        build: |_, _| {
            replace::residual(|_, branch, stream, added| match branch {
                Branch::Attention => Ok(added.clone()),
                Branch::FeedForward => stream + added,
            })
        },
        ..FAMILY
    },
    Fault {
        name: "residual-ffn-lost",
        summary: "does not add the feed-forward network",
        first: "layer_{L}_output",
        build: |_, _| {
            replace::residual(|_, branch, stream, added| match branch {
                Branch::Attention => stream + added,
                Branch::FeedForward => Ok(stream.clone()),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "residual-added-twice",
        summary: "adds attention twice, once in the projection and once after it",
        build: |_, _| {
            replace::residual(|_, branch, stream, added| match branch {
                Branch::Attention => (stream + added)? + added,
                Branch::FeedForward => stream + added,
            })
        },
        ..FAMILY
    },
];

enum Wiring {
    Normed,
    Parallel,
    BlockInput,
}

/// Keeps what the norm before attention saw or made, for a later operation of the same block.
struct Rewired {
    kept: Mutex<Option<Tensor>>,
    wiring: Wiring,
}

impl Rewired {
    fn keep(&self, tensor: &Tensor) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(tensor.clone());
    }

    fn kept_or(&self, tensor: &Tensor) -> Tensor {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().unwrap_or(tensor).clone()
    }
}

impl Operations for Rewired {
    fn norm(&self, _at: At, which: Which, x: &Tensor, norm: &Norm) -> Result<Tensor> {
        match (which, &self.wiring) {
            (Which::Attention, Wiring::Normed) => {
                let normed = correct(x, norm)?;
                self.keep(&normed);
                Ok(normed)
            }
            (Which::Attention, _) => {
                self.keep(x);
                correct(x, norm)
            }
            (Which::FeedForward, Wiring::Parallel) => correct(&self.kept_or(x), norm),
            _ => correct(x, norm),
        }
    }

    fn residual(&self, _at: At, branch: Branch, stream: &Tensor, added: &Tensor) -> Result<Tensor> {
        match (branch, &self.wiring) {
            (Branch::Attention, Wiring::Normed) | (Branch::FeedForward, Wiring::BlockInput) => {
                self.kept_or(stream) + added
            }
            _ => stream + added,
        }
    }
}
