//! Operations, computed.

mod activation;
mod attention;
mod embedding;
mod experts;
mod kernels;
mod linear;
mod norm;
mod product;
mod rope;
mod round;

use super::hypothesis::Hypothesis;
use super::inputs::Inputs;
use super::kind::Kind;
use super::operation::Operation;
use super::weights::{Arithmetic, Weight, Weights};
use crate::error::Error;
use crate::tensor::Dense;
use std::fmt;

pub(crate) use activation::looked_up_gelu;
pub(crate) use experts::{choose as most_probable, sum as expert_sum, weights as expert_weights};
pub(super) use kernels::step_of;
pub(crate) use linear::matmul;
pub use product::multiply;
pub use round::round_to;

/// Why an operation cannot be computed.
#[derive(Debug)]
pub enum Failure {
    /// The hypothesis changes what the operation does not have.
    NotApplicable,
    /// The model has no such tensor.
    NoWeight(String),
    /// Shapes that do not fit together.
    Shape(String),
    /// An arithmetic that is not emulated.
    NotEmulated(String),
    /// The model cannot be read.
    Read(Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplicable => f.write_str("the hypothesis does not apply to the operation"),
            Self::NoWeight(name) => write!(f, "the model has no tensor `{name}`"),
            Self::Shape(what) => write!(f, "shapes do not fit: {what}"),
            Self::NotEmulated(what) => write!(f, "{what} is not emulated"),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

/// What an operation gives for these inputs.
///
/// # Shape
///
/// That of the checkpoint: `[tokens, ...]`. Scores of keys that the mask hides are computed, too.
///
/// # Errors
///
/// [`Failure`]: the hypothesis does not apply, a weight is missing or of another shape, the model cannot be read.
pub fn recompute(
    operation: &Operation,
    inputs: &Inputs,
    weights: &dyn Weights,
    arithmetic: Arithmetic,
    hypothesis: &Hypothesis,
) -> Result<Dense, Failure> {
    let operation = operation.under(hypothesis).ok_or(Failure::NotApplicable)?;
    let input = |index: usize| {
        inputs.tensors.get(index).ok_or_else(|| {
            Failure::Shape(format!(
                "`{}` needs {} inputs, it got {}",
                operation.checkpoint,
                operation.inputs.len(),
                inputs.tensors.len()
            ))
        })
    };
    let with = Context {
        inputs,
        weights,
        arithmetic,
    };
    let is_product = matches!(operation.kind, Kind::Linear(_) | Kind::ExpertLinear(_));
    if arithmetic.is_of_products() && !is_product {
        return Err(Failure::NotEmulated(operation.kind.name().to_owned()));
    }
    match &operation.kind {
        Kind::Embed(embed) => with.embed(embed, input(0)?),
        Kind::Norm(norm) => with.norm(norm, input(0)?),
        Kind::Linear(linear) => with.linear(linear, input(0)?),
        Kind::Rope(rope) => with.rope(rope, input(0)?),
        Kind::Scores(scores) => with.scores(scores, input(0)?, input(1)?),
        Kind::Probs(probs) => with.probs(probs, input(0)?),
        Kind::Context(attend) => with.attend(attend, input(0)?, input(1)?),
        Kind::Residual(residual) => with.residual(&residual.factors),
        Kind::Activate(activate) => with.activate(activate, input(0)?, inputs.tensors.get(1)),
        Kind::Softmax => Ok(experts::softmax(input(0)?)),
        Kind::Choose { count } => Ok(experts::choose(input(0)?, *count)),
        Kind::ExpertWeights(rule) => experts::weights(rule, input(0)?, input(1)?),
        Kind::ExpertLinear(linear) => with.expert_linear(linear, input(0)?, input(1)?),
        Kind::Sigmoid => Ok(input(0)?.map(|x| 1.0 / (1.0 + (-x).exp()))),
        Kind::ExpertSum => experts::sum(&inputs.tensors),
    }
}

/// What all operations are computed with.
struct Context<'a> {
    inputs: &'a Inputs,
    weights: &'a dyn Weights,
    arithmetic: Arithmetic,
}

impl Context<'_> {
    fn tensor(&self, name: &str) -> Result<Weight, Failure> {
        self.weights
            .tensor(name)?
            .ok_or_else(|| Failure::NoWeight(name.to_owned()))
    }

    fn residual(&self, factors: &[f64]) -> Result<Dense, Failure> {
        let mut terms = self.inputs.tensors.iter().zip(factors);
        let (first, factor) = terms
            .next()
            .ok_or_else(|| Failure::Shape("a sum of nothing".to_owned()))?;
        let mut sum = first.map(|x| x * factor);
        for (term, factor) in terms {
            sum = sum.zip(term, |a, b| a + b * factor).ok_or_else(|| {
                Failure::Shape(format!("{:?} and {:?} are added", sum.shape, term.shape))
            })?;
        }
        Ok(sum)
    }
}
