//! What an operation adds to the error of its inputs.

use super::deviation::Deviation;
use super::doubt::recompute_near;
use super::evaluate::{Failure, recompute};
use super::hypothesis::Hypothesis;
use super::inputs::{Inputs, Missing};
use super::kind::{Activation, Kind};
use super::nearest::{Nearest, passes_of};
use super::operation::Operation;
use super::through::{Traced, gather_through};
use super::weights::{Arithmetic, Weights};
use crate::tensor::Dense;
use crate::trace::{Batch, Index};
use std::iter;

/// What an operation added of its own: its logged output against what its logged inputs give.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalError {
    /// By the arithmetic that is nearer.
    pub deviation: Deviation,
    /// That arithmetic.
    pub arithmetic: Arithmetic,
    /// The deviation from f64, where it was computed.
    pub f64: Option<Deviation>,
    /// The deviation from the engine's arithmetic, where it was computed.
    pub engine: Option<Deviation>,
    /// Logged checkpoints that it was computed from.
    pub inputs: Vec<String>,
    /// Checkpoints that were not logged and were computed on the way.
    pub through: Vec<String>,
}

/// Why there is no local error.
#[derive(Debug)]
pub enum Unknown {
    /// The result was not wholly logged, or an input was not, nor what it could be computed from.
    Missing(Vec<Missing>),
    /// It cannot be computed.
    Failure(Failure),
}

impl From<Failure> for Unknown {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<crate::Error> for Unknown {
    fn from(error: crate::Error) -> Self {
        Self::Failure(error.into())
    }
}

/// Computes what an operation of a trace added to the error of its inputs.
///
/// `first` is tried first; the others only where it leaves more than `enough`, and only where they can differ.
///
/// # Errors
///
/// [`Unknown`].
pub fn local_error(
    operation: &Operation,
    index: &Index<'_>,
    seq: u64,
    batch: &Batch,
    weights: &dyn Weights,
    first: Arithmetic,
    enough: f64,
) -> Result<LocalError, Unknown> {
    let tokens = batch.positions.clone();
    let looked = index.look_as_of(&operation.checkpoint, seq, tokens.clone(), batch.pass)?;
    let found = looked.map_err(|gap| {
        Unknown::Missing(vec![Missing {
            checkpoint: operation.checkpoint.clone(),
            gap,
        }])
    })?;
    let mut local: Option<Nearest> = None;
    let mut gathered: Option<Traced> = None;
    let all = Arithmetic::all(weights.hparams().on_gpu).iter().copied();
    let others = all.filter(|other| *other != first);
    for arithmetic in iter::once(first).chain(others) {
        if local.as_ref().is_some_and(|local| {
            local.worst().relative <= enough || !differs(operation, weights, &local.through)
        }) {
            break;
        }
        let traced = match gathered.take().filter(|traced| traced.through.is_empty()) {
            Some(traced) => traced,
            None => {
                // Some are arithmetics of single products, not of what leads to them.
                let before = match arithmetic.is_of_products() {
                    true => Arithmetic::F64,
                    false => arithmetic,
                };
                gather_through(operation, index, seq, batch, weights, before)?
            }
        };
        let inputs = &traced.inputs;
        let expected = recompute_near(operation, inputs, weights, arithmetic, &found, enough);
        let expected = match (expected, &local) {
            (Ok(expected), _) => expected,
            // What is not emulated leaves the other arithmetics' answer.
            (Err(Failure::NotEmulated(_)), _) if local.is_some() || arithmetic.is_of_products() => {
                gathered = Some(traced);
                continue;
            }
            (Err(failure), _) => return Err(failure.into()),
        };
        let mut passes = Vec::new();
        for rows in passes_of(&inputs.pass_first, weights.hparams().on_gpu) {
            let start = tokens.start + rows.start as i64;
            let (expected, found) = (expected.rows_in(rows.clone()), found.rows_in(rows));
            passes.push((deviation(operation, start, &expected, &found)?, arithmetic));
        }
        let this = Nearest {
            whole: vec![(
                deviation(operation, tokens.start, &expected, &found)?,
                arithmetic,
            )],
            passes,
            inputs: traced.from.clone(),
            through: traced.through.clone(),
        };
        gathered = Some(traced);
        local = Some(match local {
            Some(before) => before.or(this),
            None => this,
        });
    }
    let nearest = local.ok_or_else(|| Unknown::Missing(Vec::new()))?;
    Ok(nearest.finished())
}

/// How far apart an operation's results are for two sides' inputs: the part of the disagreement that it only passes on.
///
/// # Errors
///
/// [`Failure`].
pub fn propagated(
    operation: &Operation,
    reference: &Inputs,
    candidate: &Inputs,
    weights: &dyn Weights,
) -> Result<Deviation, Failure> {
    let of = |inputs| {
        let none = Hypothesis::none();
        recompute(operation, inputs, weights, Arithmetic::F64, &none)
    };
    deviation(operation, reference.first, &of(reference)?, &of(candidate)?)
}

fn deviation(
    operation: &Operation,
    first: i64,
    expected: &Dense,
    found: &Dense,
) -> Result<Deviation, Failure> {
    Deviation::of(operation, first, expected, found).ok_or_else(|| {
        Failure::Shape(format!(
            "`{}` is {:?} where its inputs give {:?}",
            operation.checkpoint, found.shape, expected.shape
        ))
    })
}

/// Whether the engine's arithmetic can give something else than f64 does.
fn differs(operation: &Operation, weights: &dyn Weights, through: &[String]) -> bool {
    let quantised = |name: &str| {
        let info = weights.hparams().tensors.get(name);
        info.is_some_and(|info| info.dtype != "f32")
    };
    let kept = |dtype: &orch_log::format::Dtype| !matches!(dtype.name(), "f32" | "f64");
    !through.is_empty()
        || match &operation.kind {
            Kind::Linear(linear) => quantised(&linear.weight.name),
            Kind::ExpertLinear(linear) => quantised(&linear.weight),
            Kind::Rope(_) => true,
            Kind::Scores(scores) => kept(&scores.cache) || kept(&scores.operand),
            Kind::Context(attend) => kept(&attend.cache) || kept(&attend.operand),
            Kind::Activate(activate) => activate.function == Activation::GeluTanh,
            _ => false,
        }
}
