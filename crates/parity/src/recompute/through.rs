//! Inputs that were not logged, computed from what was.

use super::evaluate::{Failure, recompute};
use super::graph::operation as operation_of;
use super::hypothesis::Hypothesis;
use super::inputs::{Inputs, Missing};
use super::local::Unknown;
use super::operation::{Operation, Rows};
use super::weights::{Arithmetic, Weights};
use crate::tensor::Dense;
use crate::trace::{Batch, Gap, Index};
use std::ops::Range;

/// Inputs, and where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// The inputs of the operation.
    pub inputs: Inputs,
    /// Logged checkpoints that they come from.
    pub from: Vec<String>,
    /// Checkpoints that were not logged and were computed.
    pub through: Vec<String>,
}

/// How many operations may be computed between what was logged and what is asked for.
///
/// Two are what fused attention hides, scores and probabilities. Behind more, roundings of quantised activations
/// have grown so much that little could be said.
const DEPTH: usize = 2;

/// The inputs of an operation for a batch, those that were not logged computed from their own inputs.
///
/// # Errors
///
/// [`Unknown`]: an input was not logged, nor what it is computed from.
pub fn gather_through(
    operation: &Operation,
    index: &Index<'_>,
    seq: u64,
    batch: &Batch,
    weights: &dyn Weights,
    arithmetic: Arithmetic,
) -> Result<Traced, Unknown> {
    let mut gathering = Gathering {
        index,
        seq,
        pass: batch.pass,
        weights,
        arithmetic,
        from: Vec::new(),
        through: Vec::new(),
    };
    let inputs = gathering.inputs(operation, batch.positions.clone(), DEPTH)?;
    Ok(Traced {
        inputs,
        from: gathering.from,
        through: gathering.through,
    })
}

struct Gathering<'a> {
    index: &'a Index<'a>,
    seq: u64,
    pass: u32,
    weights: &'a dyn Weights,
    arithmetic: Arithmetic,
    from: Vec<String>,
    through: Vec<String>,
}

impl Gathering<'_> {
    fn inputs(
        &mut self,
        operation: &Operation,
        tokens: Range<i64>,
        depth: usize,
    ) -> Result<Inputs, Unknown> {
        let mut tensors = Vec::new();
        let mut missing = Vec::new();
        for input in &operation.inputs {
            let rows = match input.rows {
                Rows::Own => tokens.clone(),
                Rows::All => 0..tokens.end,
            };
            match self.input(&input.checkpoint, rows, depth) {
                Ok(dense) => tensors.push(dense),
                Err(Unknown::Missing(of_input)) => missing.extend(of_input),
                Err(failure) => return Err(failure),
            }
        }
        if !missing.is_empty() {
            return Err(Unknown::Missing(missing));
        }
        let pass_first =
            self.index
                .pass_starts(&operation.checkpoint, self.seq, tokens.clone(), self.pass);
        Ok(Inputs {
            first: tokens.start,
            tokens: pass_first.len(),
            pass_first,
            tensors,
        })
    }

    /// An input as it was logged, or computed.
    fn input(&mut self, name: &str, rows: Range<i64>, depth: usize) -> Result<Dense, Unknown> {
        let looked = self
            .index
            .look_as_of(name, self.seq, rows.clone(), self.pass)?;
        let gap = match looked {
            Ok(dense) => {
                note(&mut self.from, name);
                return Ok(dense);
            }
            Err(gap) => gap,
        };
        let missing = || {
            Unknown::Missing(vec![Missing {
                checkpoint: name.to_owned(),
                gap: gap.clone(),
            }])
        };
        let producer = operation_of(self.weights.hparams(), name);
        // A damaged payload is said, not worked around.
        let absent = matches!(gap, Gap::NotLogged { .. } | Gap::NotWhole { .. });
        let (Some(producer), true, true) = (producer, absent, depth > 0) else {
            return Err(missing());
        };
        let inputs = match self.inputs(&producer, rows, depth - 1) {
            Ok(inputs) => inputs,
            // The nearest one is what somebody should log.
            Err(Unknown::Missing(_)) => return Err(missing()),
            Err(failure) => return Err(failure),
        };
        let computed = recompute(
            &producer,
            &inputs,
            self.weights,
            self.arithmetic,
            &Hypothesis::none(),
        );
        match computed {
            Ok(dense) => {
                note(&mut self.through, name);
                Ok(dense)
            }
            Err(Failure::Read(error)) => Err(error.into()),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn note(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}
