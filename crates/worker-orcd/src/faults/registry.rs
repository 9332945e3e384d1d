//! The table of faults.

use super::{Param, Params, activation, attention, cache, norm, rope, weights};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::gguf::GgufFile;
use crate::ops::Operations;

/// One kind of mistake.
pub struct Fault {
    /// What `--fault` takes.
    pub name: &'static str,
    /// Family, as in the catalogue of engine bugs that the faults were taken from.
    pub family: &'static str,
    /// What is done wrongly.
    pub summary: &'static str,
    /// Where it first shows; `{L}` is the faulty layer.
    pub first: &'static str,
    /// When it first shows: `prefill`, or `decode` for what a prompt in one batch cannot show.
    pub phase: &'static str,
    /// Its parameters and their defaults.
    pub params: &'static [Param],
    /// Whether it can be limited to one token: mistakes in weights cannot.
    pub by_token: bool,
    /// What a model must have for the fault to matter.
    pub needs: Needs,
    pub(super) build: fn(&Params, &Config) -> Result<Box<dyn Operations>>,
}

/// What a model must have for a fault to matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing in particular.
    Nothing,
    /// Fewer key heads than query heads, but more than one.
    GroupedHeads,
    /// A tensor of this name in the faulty layer.
    Tensor(&'static str),
    /// As many rows as columns in the attention's query and output matrices.
    SquareAttention,
}

impl Needs {
    /// Checks that a model has it.
    ///
    /// # Errors
    ///
    /// With what is missing: the fault would be planted and change nothing.
    pub fn check(self, fault: &str, config: &Config, file: &GgufFile) -> Result<()> {
        let missing = match self {
            Self::Nothing => None,
            Self::GroupedHeads if config.kv_heads > 1 && config.kv_heads < config.heads => None,
            Self::GroupedHeads => Some(format!(
                "more than one key head, and fewer than query heads (it has {} and {})",
                config.kv_heads, config.heads
            )),
            Self::Tensor(name) if file.has(&format!("blk.0.{name}")) => None,
            Self::Tensor(name) => Some(format!("a tensor `{name}` in its blocks")),
            Self::SquareAttention if config.heads * config.head_dim == config.embedding => None,
            Self::SquareAttention => Some(format!(
                "a square query matrix (it has {} by {})",
                config.heads * config.head_dim,
                config.embedding
            )),
        };
        match missing {
            None => Ok(()),
            Some(missing) => Err(Error::Fault(format!(
                "fault `{fault}` would change nothing in `{}`: it needs a model with {missing}",
                file.path().display()
            ))),
        }
    }
}

/// All faults, in the order of their families.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    [
        rope::FAULTS,
        norm::FAULTS,
        weights::FAULTS,
        attention::FAULTS,
        cache::FAULTS,
        activation::FAULTS,
    ]
    .into_iter()
    .flatten()
}

/// The fault of this name.
///
/// # Errors
///
/// When there is none; the message offers the known names.
pub fn find(name: &str) -> Result<&'static Fault> {
    all().find(|fault| fault.name == name).ok_or_else(|| {
        let known: Vec<_> = all().map(|fault| fault.name).collect();
        Error::Fault(format!(
            "unknown fault `{name}`; known are {} (`worker-orcd faults` explains them)",
            known.join(", ")
        ))
    })
}
