//! The logged inputs of an operation.

use super::operation::{Operation, Rows};
use crate::error::Error;
use crate::tensor::Dense;
use crate::trace::{Gap, Index};
use std::ops::Range;

/// What an operation is computed from, for rows `first..first + tokens` of one sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Absolute position of the first row.
    pub first: i64,
    /// Rows of the output.
    pub tokens: usize,
    /// Position of the first row of the pass that each row belongs to; for hypotheses about positions.
    pub pass_first: Vec<i64>,
    /// In the order of [`Operation::inputs`]; `[tokens, ...]`, or `[first + tokens, ...]` for [`Rows::All`].
    pub tensors: Vec<Dense>,
}

/// An input that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its checkpoint.
    pub checkpoint: String,
    /// Why.
    pub gap: Gap,
}

impl Inputs {
    /// Reads the inputs of an operation from a trace; what is missing where one cannot be had.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read.
    pub fn gather(
        operation: &Operation,
        index: &Index<'_>,
        seq: u64,
        tokens: Range<i64>,
    ) -> Result<Result<Self, Vec<Missing>>, Error> {
        Self::gather_as_of(operation, index, seq, tokens, u32::MAX)
    }

    /// As [`Inputs::gather`], as if the trace ended with this pass: what later passes put in the place of these rows,
    /// another prompt for example, was not read.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read.
    pub fn gather_as_of(
        operation: &Operation,
        index: &Index<'_>,
        seq: u64,
        tokens: Range<i64>,
        pass: u32,
    ) -> Result<Result<Self, Vec<Missing>>, Error> {
        let mut tensors = Vec::new();
        let mut missing = Vec::new();
        for input in &operation.inputs {
            let rows = match input.rows {
                Rows::Own => tokens.clone(),
                Rows::All => 0..tokens.end,
            };
            match index.look_as_of(&input.checkpoint, seq, rows, pass)? {
                Ok(dense) => tensors.push(dense),
                Err(gap) => missing.push(Missing {
                    checkpoint: input.checkpoint.clone(),
                    gap,
                }),
            }
        }
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        Ok(Ok(Self {
            first: tokens.start,
            tokens: (tokens.end - tokens.start).max(0) as usize,
            pass_first: index.pass_starts(&operation.checkpoint, seq, tokens, pass),
            tensors,
        }))
    }

    /// Absolute position of a row.
    pub fn position(&self, row: usize) -> i64 {
        self.first + row as i64
    }
}
