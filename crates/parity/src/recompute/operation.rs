//! What a checkpoint is computed from, and how.

use super::kind::{Frequencies, Kind};

/// How a checkpoint is computed.
///
/// Everything is data: a rule that thinks an engine did otherwise changes a field, by hand or by a
/// [`Change`](super::Change).
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The checkpoint that it gives.
    pub checkpoint: String,
    /// The block, where it is in one.
    pub layer: Option<usize>,
    /// Checkpoints that it reads, in the order of [`Kind`].
    pub inputs: Vec<Input>,
    /// The formula.
    pub kind: Kind,
}

/// A checkpoint that an operation reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub checkpoint: String,
    /// Which of its rows.
    pub rows: Rows,
}

/// Which rows of an input are read for rows `first..end` of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// The same positions.
    Own,
    /// All positions from 0 to `end`: the cache.
    All,
}

impl Operation {
    /// Names of the tensors of the model that it needs.
    pub fn weights(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Embed(embed) => [vec![embed.table.as_str()], some_of(&embed.positions)].concat(),
            Kind::Norm(norm) => [vec![norm.weight.as_str()], some_of(&norm.bias)].concat(),
            Kind::Linear(linear) => {
                [vec![linear.weight.name.as_str()], some_of(&linear.bias)].concat()
            }
            Kind::Rope(rope) => match &rope.frequencies {
                Frequencies::Tensor(name) => vec![name],
                _ => vec![],
            },
            Kind::Probs(probs) => some_of(&probs.sinks),
            Kind::ExpertLinear(linear) => vec![&linear.weight],
            _ => vec![],
        }
    }
}

fn some_of(name: &Option<String>) -> Vec<&str> {
    name.iter().map(String::as_str).collect()
}
