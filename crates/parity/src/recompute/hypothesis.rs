//! What an engine may have done otherwise.

use super::kind::{
    Activation, Factor, Frequencies, HeadMap, Kind, Pairing, Positions, Statistic, WeightLayout,
};
use super::operation::Operation;
use orch_log::format::Dtype;
use std::fmt;

/// Changes of an operation, all made together; none of them is the operation as the model says it.
///
/// # Example
///
/// ```
/// use parity::recompute::{Change, Hypothesis};
/// let hypothesis = Hypothesis::one(Change::Theta(10_000.0));
/// assert_eq!(hypothesis.to_string(), "theta = 10000");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hypothesis {
    /// In the order in which they are made.
    pub changes: Vec<Change>,
}

/// One change of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Another epsilon.
    Eps(f64),
    /// Epsilon added to the root, not under it.
    EpsOutside,
    /// Subtracts the mean first, or not.
    Centred(bool),
    /// Another statistic under the root.
    Statistic(Statistic),
    /// Multiplies with the root.
    Inverted,
    /// Elements that share a statistic.
    Group(usize),
    /// What is done with the norm's weight.
    Factor(Factor),
    /// No norm at all.
    NormSkipped,
    /// Rounds to a type on the way: before a norm's weight, cosine and sine of a rotation.
    Rounded(Dtype),
    /// Another tensor: of a norm, a product, a table.
    Weight(String),
    /// Another way to read the matrix.
    Layout(WeightLayout),
    /// Stored rows of the outputs.
    WeightRows(Vec<usize>),
    /// Stored columns of the inputs.
    WeightColumns(Vec<usize>),
    /// Another bias; `None` for none.
    Bias(Option<String>),
    /// Base of the rotation.
    Theta(f64),
    /// Exponent of the base: 2 is right.
    Exponent(f64),
    /// Which lanes are a pair; the result is laid out likewise.
    Pairing(Pairing),
    /// Where rotated lanes go.
    RopeOutput(Pairing),
    /// Lanes that are rotated.
    RopeDims(usize),
    /// Which position a row has: of a rotation, of learned positions.
    Position(Positions),
    /// Divisors of the frequencies.
    Frequencies(Frequencies),
    /// Factor of cosine and sine.
    Amplitude(f64),
    /// Turns the other way.
    Reversed,
    /// How often it is rotated.
    RopeTimes(u32),
    /// Factor: of scores, of a product, of the embedding, of experts' weights.
    Scale(f64),
    /// Soft cap: of scores, of logits, of scores before softmax; `None` for none.
    Cap(Option<f64>),
    /// Which key or value head a query head meets.
    Heads(HeadMap),
    /// Type that keys and values are kept in.
    Cache(Dtype),
    /// Type that queries and probabilities are rounded to before they meet them.
    Operand(Dtype),
    /// How far ahead a query sees; `None` for no mask.
    Ahead(Option<i64>),
    /// Positions seen; `None` for all.
    Window(Option<usize>),
    /// Tensor of attention sinks; `None` for none.
    Sinks(Option<String>),
    /// Key positions that are never seen.
    Hidden(Vec<i64>),
    /// Factors of a sum's inputs.
    Factors(Vec<f64>),
    /// Another non-linearity.
    Function(Activation),
    /// Non-linearity on the other operand.
    Exchanged,
    /// Whether the other operand multiplies.
    Gated(bool),
    /// Whether experts' weights are made to sum to one.
    Normalised(bool),
    /// How many experts are chosen.
    Chosen(usize),
    /// Another checkpoint in place of input `index`.
    Source {
        /// Which input.
        index: usize,
        /// The checkpoint.
        checkpoint: String,
    },
}

impl Hypothesis {
    /// Nothing is otherwise.
    pub fn none() -> Self {
        Self::default()
    }

    /// One thing is otherwise.
    pub fn one(change: Change) -> Self {
        Self {
            changes: vec![change],
        }
    }

    /// This one and another change.
    pub fn and(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

impl Operation {
    /// The operation under a hypothesis; `None` where a change has nothing to change in it.
    pub fn under(&self, hypothesis: &Hypothesis) -> Option<Self> {
        let mut changed = self.clone();
        hypothesis
            .changes
            .iter()
            .all(|change| changed.make(change))
            .then_some(changed)
    }

    /// Makes a change; false where there is nothing to change.
    fn make(&mut self, change: &Change) -> bool {
        use Change as C;
        if let C::Source { index, checkpoint } = change {
            return match self.inputs.get_mut(*index) {
                Some(input) => {
                    input.checkpoint.clone_from(checkpoint);
                    true
                }
                None => false,
            };
        }
        match (&mut self.kind, change) {
            (Kind::Norm(norm), C::Eps(eps)) => norm.eps = *eps,
            (Kind::Norm(norm), C::EpsOutside) => norm.eps_outside = true,
            (Kind::Norm(norm), C::Centred(centred)) => norm.centred = *centred,
            (Kind::Norm(norm), C::Statistic(statistic)) => norm.statistic = *statistic,
            (Kind::Norm(norm), C::Inverted) => norm.inverted = true,
            (Kind::Norm(norm), C::Group(group)) => norm.group = *group,
            (Kind::Norm(norm), C::Factor(factor)) => norm.factor = *factor,
            (Kind::Norm(norm), C::NormSkipped) => norm.skipped = true,
            (Kind::Norm(norm), C::Rounded(dtype)) => norm.rounded = Some(*dtype),
            (Kind::Norm(norm), C::Weight(name)) => norm.weight.clone_from(name),
            (Kind::Norm(norm), C::Bias(bias)) => norm.bias.clone_from(bias),
            (Kind::Linear(linear), C::Weight(name)) => linear.weight.name.clone_from(name),
            (Kind::Linear(linear), C::Layout(layout)) => linear.weight.layout = *layout,
            (Kind::Linear(linear), C::WeightRows(rows)) => linear.weight.rows = Some(rows.clone()),
            (Kind::Linear(linear), C::WeightColumns(columns)) => {
                linear.weight.columns = Some(columns.clone());
            }
            (Kind::Linear(linear), C::Bias(bias)) => linear.bias.clone_from(bias),
            (Kind::Linear(linear), C::Scale(scale)) => linear.scale = *scale,
            (Kind::Linear(linear), C::Cap(cap)) => linear.cap = *cap,
            (Kind::Rope(rope), C::Theta(theta)) => rope.theta = *theta,
            (Kind::Rope(rope), C::Exponent(exponent)) => rope.exponent = *exponent,
            (Kind::Rope(rope), C::Pairing(pairing)) => {
                rope.pairing = *pairing;
                rope.output = *pairing;
            }
            (Kind::Rope(rope), C::RopeOutput(output)) => rope.output = *output,
            (Kind::Rope(rope), C::RopeDims(dims)) => rope.dims = *dims,
            (Kind::Rope(rope), C::Position(position)) => rope.position = *position,
            (Kind::Rope(rope), C::Frequencies(frequencies)) => {
                rope.frequencies.clone_from(frequencies);
            }
            (Kind::Rope(rope), C::Amplitude(amplitude)) => rope.amplitude = *amplitude,
            (Kind::Rope(rope), C::Reversed) => rope.reversed = true,
            (Kind::Rope(rope), C::RopeTimes(times)) => rope.times = *times,
            (Kind::Rope(rope), C::Rounded(dtype)) => rope.rounded = Some(*dtype),
            (Kind::Scores(scores), C::Scale(scale)) => scores.scale = *scale,
            (Kind::Scores(scores), C::Cap(cap)) => scores.cap = *cap,
            (Kind::Scores(scores), C::Heads(heads)) => scores.heads.clone_from(heads),
            (Kind::Scores(scores), C::Cache(cache)) => scores.cache = *cache,
            (Kind::Scores(scores), C::Operand(dtype)) => scores.operand = *dtype,
            (Kind::Context(attend), C::Operand(dtype)) => attend.operand = *dtype,
            (Kind::Probs(probs), C::Ahead(ahead)) => probs.ahead = *ahead,
            (Kind::Probs(probs), C::Window(window)) => probs.window = *window,
            (Kind::Probs(probs), C::Scale(scale)) => probs.scale = *scale,
            (Kind::Probs(probs), C::Cap(cap)) => probs.cap = *cap,
            (Kind::Probs(probs), C::Sinks(sinks)) => probs.sinks.clone_from(sinks),
            (Kind::Probs(probs), C::Hidden(hidden)) => probs.hidden.clone_from(hidden),
            (Kind::Context(attend), C::Heads(heads)) => attend.heads.clone_from(heads),
            (Kind::Context(attend), C::Cache(cache)) => attend.cache = *cache,
            (Kind::Residual(residual), C::Factors(factors)) => {
                residual.factors.clone_from(factors);
            }
            (Kind::Activate(activate), C::Function(function)) => activate.function = *function,
            (Kind::Activate(activate), C::Exchanged) => activate.exchanged = true,
            (Kind::Activate(activate), C::Gated(gated)) => activate.gated = *gated,
            (Kind::Embed(embed), C::Position(position)) => embed.position = *position,
            (Kind::Embed(embed), C::Scale(scale)) => embed.scale = *scale,
            (Kind::Embed(embed), C::Weight(table)) => embed.table.clone_from(table),
            (Kind::Embed(embed), C::Bias(positions)) => embed.positions.clone_from(positions),
            (Kind::Choose { count }, C::Chosen(chosen)) => *count = *chosen,
            (Kind::ExpertWeights(weights), C::Normalised(normalised)) => {
                weights.normalised = *normalised;
            }
            (Kind::ExpertWeights(weights), C::Scale(scale)) => weights.scale = *scale,
            (Kind::ExpertLinear(linear), C::Weight(name)) => linear.weight.clone_from(name),
            _ => return false,
        }
        true
    }
}

impl fmt::Display for Hypothesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, change) in self.changes.iter().enumerate() {
            if count > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{change}")?;
        }
        if self.changes.is_empty() {
            f.write_str("as the model says")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eps(eps) => write!(f, "eps = {eps:e}"),
            Self::Theta(theta) => write!(f, "theta = {theta}"),
            Self::Scale(scale) => write!(f, "scale = {scale}"),
            Self::Weight(name) => write!(f, "weight = {name}"),
            Self::Bias(None) => f.write_str("no bias"),
            Self::Bias(Some(name)) => write!(f, "bias = {name}"),
            Self::Cap(None) => f.write_str("no soft cap"),
            Self::Cap(Some(cap)) => write!(f, "soft cap = {cap}"),
            Self::Window(None) => f.write_str("no window"),
            Self::Window(Some(window)) => write!(f, "window = {window}"),
            Self::Ahead(None) => f.write_str("no mask"),
            Self::Rounded(dtype) => write!(f, "rounded to {dtype}"),
            Self::Cache(dtype) => write!(f, "cache of {dtype}"),
            Self::Source { index, checkpoint } => write!(f, "input {index} = {checkpoint}"),
            // The rest are the words of the type: `RopeDims(32)`.
            other => write!(f, "{other:?}"),
        }
    }
}
