//! What a name of one trace stands for.

use super::pattern::{Pattern, Template};
use orch_log::format::Record;

/// How the record of a mapped name is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The checkpoint is a part of the record: of several tensors that were computed as one.
    pub part: Option<Part>,
    /// The axes of the record, outermost first, where they differ from what the canonical name promises.
    pub axes: Option<Axes>,
    /// The record only repeats the checkpoint of another name: where both exist, this one is passed over.
    pub is_alias: bool,
}

/// One of several tensors that lie side by side on the innermost axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 0.
    pub index: usize,
    /// Of how many.
    pub count: usize,
    /// Whether all have the same width; with grouped-query attention Q is wider than K and V.
    pub kind: PartKind,
}

/// How wide the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// All alike.
    Equal,
    /// Q, K and V: K and V alike, Q what remains.
    Qkv,
}

/// The meaning of a record's axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes(Vec<Axis>);

/// The meaning of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Token positions.
    Tokens,
    /// Attention heads.
    Heads,
    /// Anything else, which keeps its order: elements of a head, keys, features.
    Other,
}

impl Axes {
    /// Reads `heads,tokens,dim`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let axes: Vec<Axis> = text
            .split(',')
            .map(|axis| match axis.trim() {
                "tokens" => Ok(Axis::Tokens),
                "heads" => Ok(Axis::Heads),
                "dim" | "kv" | "features" => Ok(Axis::Other),
                other => Err(format!(
                    "`{other}` is no axis; known are tokens, heads, dim, kv and features"
                )),
            })
            .collect::<Result<_, _>>()?;
        match axes.iter().filter(|axis| **axis == Axis::Tokens).count() {
            1 => Ok(Self(axes)),
            n => Err(format!("`{text}` has {n} axes `tokens`, and must have one")),
        }
    }

    /// Where each canonical axis lies in the record: tokens first, then heads, then the others in their order.
    pub fn canonical_order(&self) -> Vec<usize> {
        let of = |wanted: Axis| {
            self.0
                .iter()
                .enumerate()
                .filter(move |(_, axis)| **axis == wanted)
                .map(|(index, _)| index)
        };
        of(Axis::Tokens)
            .chain(of(Axis::Heads))
            .chain(of(Axis::Other))
            .collect()
    }

    /// The axis that holds the tokens.
    pub fn token_axis(&self) -> usize {
        self.canonical_order()[0]
    }
}

/// One entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    /// The pattern as it was written.
    pub(super) text: String,
    /// Only records of this operation.
    pub(super) op: Option<String>,
    /// Only this occurrence of the name within its step.
    pub(super) occurrence: Option<u64>,
    /// Not where the trace has the same name from this operation too.
    pub(super) unless_op: Option<String>,
    /// The canonical names: none for a name that is known to be nothing canonical, several for fused products.
    pub(super) targets: Vec<(Template, Reading)>,
}

impl Rule {
    pub(super) fn fits(&self, record: &Record) -> bool {
        let op = |wanted: &String| record.op.as_deref() == Some(wanted);
        self.op.as_ref().is_none_or(op)
            && self
                .occurrence
                .is_none_or(|occurrence| occurrence == record.occurrence)
    }
}
