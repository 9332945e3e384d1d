//! What an index knows of a record.

use crate::trace::PayloadFault;
use orch_log::format::Dtype;
use std::fmt;
use std::ops::Range;

/// One record: rows of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Sequence in a batch.
    pub seq: u64,
    /// Absolute position of the first row.
    pub first: i64,
    /// Rows.
    pub tokens: usize,
    /// Forward pass, counted in the order of the file: a pass ends where the step changes or a name comes again.
    pub pass: u32,
    /// Storage type before logging.
    pub dtype: Dtype,
    /// Where its line begins.
    pub offset_bytes: u64,
    /// Which of the checkpoints that a name map takes the record for; `None` where none does.
    pub(super) target: Option<u8>,
}

/// Records that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Of the first row to that of the last, and one more.
    pub positions: Range<i64>,
    /// The pass of the last record.
    pub pass: u32,
}

impl Piece {
    /// The positions of its rows.
    pub fn positions(&self) -> Range<i64> {
        self.first..self.first.saturating_add(self.tokens as i64)
    }
}

/// Why rows cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// No record of this name has the position.
    NotLogged {
        /// The first position that is missing.
        position: i64,
    },
    /// The record has no payload, and not all elements among its values.
    NotWhole {
        /// Position of the record's first row.
        position: i64,
    },
    /// The payload that a record names cannot be used.
    Payload {
        /// Position of the record's first row.
        position: i64,
        /// Why.
        fault: PayloadFault,
    },
    /// The record holds a slice of a tensor-parallel run, or a shape that does not fit its tokens.
    Shape {
        /// Position of the record's first row.
        position: i64,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLogged { position } => write!(f, "not logged at position {position}"),
            Self::NotWhole { position } => write!(
                f,
                "only its first elements were logged at position {position}"
            ),
            Self::Payload { position, fault } => write!(f, "at position {position}, {fault}"),
            Self::Shape { position } => write!(
                f,
                "the record at position {position} is a slice, or its shape has no axis of tokens"
            ),
        }
    }
}
