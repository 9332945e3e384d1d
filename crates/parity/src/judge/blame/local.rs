//! What each operation adds to the errors of its inputs.

use super::gain::Gains;
use super::gap::attends;
use super::graph::Graph;
use super::history::{History, Reads};
use super::operation::{Input, Kind, propagated};
use crate::align::{NameId, Place, Stage};
use crate::judge::activations::Product;
use crate::judge::noise::Noise;
use crate::judge::summary::{Evidence, PairSummary};

/// What an operation's error was measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Floor {
    /// Nothing before it was captured: the noise that the whole model may have gathered up to there.
    Gathered,
    /// The errors of its inputs, handed on by a model of the operation, and the rounding of its own.
    Model,
    /// The same with its own rounding measured by `parity calibrate`.
    Calibrated,
    /// A limit that the user set.
    Tolerance,
    /// The operation computed anew from the candidate's own inputs.
    Recomputed,
    /// The same from the reference's: it is the reference that deviates.
    RecomputedReference,
}

impl Floor {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gathered => "gathered",
            Self::Model => "model",
            Self::Calibrated => "calibrated",
            Self::Tolerance => "tolerance",
            Self::Recomputed => "recomputed",
            Self::RecomputedReference => "recomputed reference",
        }
    }
}

/// What one operation adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalError {
    /// Relative RMSE of the output; where it was recomputed, of the candidate against its own recomputation.
    pub error: f32,
    /// As much of it as the inputs' errors explain.
    pub explained: f32,
    /// As much as the operation's own rounding may add.
    pub own: f32,
    /// Where these come from.
    pub floor: Floor,
}

impl LocalError {
    /// How many times the error is what inputs and rounding explain; more than 1 is a mistake of this operation.
    pub fn excess(&self) -> f64 {
        let allowed = f64::from(self.explained) + f64::from(self.own);
        let error = f64::from(self.error);
        if error == 0.0 || allowed.is_infinite() || allowed.is_nan() {
            0.0
        } else if error.is_nan() || allowed == 0.0 {
            f64::INFINITY
        } else {
            error / allowed
        }
    }
}

/// A relative error from less than all elements is an estimate: how many times it may be off.
///
/// # Source
///
/// A sketch of 16 projections is off by ±35 % at two standard deviations, ±53 % at three. Ten elements of a
/// tensor of hundreds are a sample whose energy varies with the few large elements that it happens to hold.
pub(super) fn uncertainty(rests_on: Evidence) -> f64 {
    match rests_on {
        Evidence::AllElements => 1.0,
        Evidence::Sketches => 1.6,
        Evidence::FirstElements | Evidence::Statistics => 4.0,
    }
}

/// What single pairs are judged with.
pub(super) struct Judge<'a> {
    pub(super) graph: &'a Graph,
    pub(super) history: &'a History<'a>,
    pub(super) noise: &'a Noise,
    pub(super) gains: &'a Gains,
}

impl Judge<'_> {
    /// What the operation of `pair` adds.
    pub(super) fn local_error(&self, pair: &PairSummary, checkpoint: &str) -> LocalError {
        let error = pair.relative_rmse();
        let inputs: Option<Vec<Input>> = self
            .graph
            .origins(pair.name)
            .inputs
            .iter()
            .map(|input| {
                let found = self.input_error(pair, *input);
                match (found, self.scores_at_most(pair, *input)) {
                    (Some(found), Some(at_most)) if found.error > at_most.error => Some(found),
                    (found, at_most) => at_most.or(found),
                }
            })
            .collect();
        match inputs.filter(|inputs| !inputs.is_empty()) {
            Some(inputs) => self.against(pair, checkpoint, &inputs),
            None => LocalError {
                error: error as f32,
                explained: 0.0,
                own: self.noise.max_nmse(checkpoint).sqrt() as f32,
                floor: Floor::Gathered,
            },
        }
    }

    /// The same as if those of its inputs that are `blamed` had only the errors of their own inputs.
    pub(super) fn as_if_inputs_were_clean(
        &self,
        pair: &PairSummary,
        checkpoint: &str,
        blamed: &[NameId],
    ) -> Option<LocalError> {
        let inputs = self.graph.origins(pair.name).inputs.iter().map(|input| {
            let mut found = self.input_error(pair, *input)?;
            if blamed.contains(input) {
                let before = self.graph.origins(*input).inputs.iter();
                let before: Option<Vec<Input>> = before
                    .map(|before| self.input_error(pair, *before))
                    .collect();
                found.error = before?.iter().map(|input| input.error).fold(0.0, f64::max);
            }
            Some(found)
        });
        let inputs: Vec<Input> = inputs.collect::<Option<_>>()?;
        Some(self.against(pair, checkpoint, &inputs))
    }

    fn against(&self, pair: &PairSummary, checkpoint: &str, inputs: &[Input]) -> LocalError {
        let kind = step_kind(self.graph, pair.name);
        let rms = pair.reference_rms.map(f64::from);
        let slack = uncertainty(pair.rests_on);
        // First order ends where errors are no longer small, and nothing follows from inputs that have nothing in common.
        let largest = inputs.iter().map(|input| input.error).fold(0.0, f64::max);
        let beyond = if largest < 1.0 {
            1.0 + 2.0 * largest
        } else {
            f64::INFINITY
        };
        let product = (kind == Kind::Linear).then(|| Product {
            crest: inputs
                .iter()
                .filter_map(|input| input.crest)
                .reduce(f64::max),
            cancellation: self.gains.cancellation(self.graph, pair, inputs),
            makes_logits: self.graph.place(pair.name) == Some(Place::Logits),
        });
        let cancellation = product.map_or(1.0, |product| product.cancellation);
        let explained =
            propagated(kind, inputs, rms) * cancellation * Noise::PROPAGATION_MARGIN * beyond;
        let (own, floor) = self
            .noise
            .own_rounding(kind, checkpoint, pair, product.as_ref());
        LocalError {
            error: pair.relative_rmse() as f32,
            explained: (explained * slack) as f32,
            own: (own * slack) as f32,
            floor,
        }
    }

    /// The error of scores of which a few first values were compared here or none, if it lies in what they are computed
    /// from: a sketch of a prompt's scores covers places that the mask hides, and their first values tell of few keys.
    fn scores_at_most(&self, pair: &PairSummary, scores: NameId) -> Option<Input> {
        let kind = step_kind(self.graph, scores);
        let is_known = |seen: &PairSummary| {
            matches!(seen.rests_on, Evidence::AllElements | Evidence::Sketches)
        };
        let mut seen = self.history.overlapping(scores, pair).peekable();
        if kind != Kind::Scores || seen.peek().is_some() && seen.all(is_known) {
            return None;
        }
        let before = self.graph.origins(scores).inputs.iter().map(|input| {
            let reads = reads(self.graph, scores, *input);
            Some(self.history.peak(*input, pair, reads)?.input())
        });
        let before: Vec<Input> = before.collect::<Option<_>>()?;
        let rms = self.history.largest(scores, pair)?.input().rms;
        let name = self.graph.place(scores)?.name();
        let (own, _) = self.noise.own_rounding(kind, &name, pair, None);
        Some(Input {
            error: propagated(kind, &before, rms) * Noise::PROPAGATION_MARGIN + own,
            rms,
            crest: None,
        })
    }

    fn input_error(&self, pair: &PairSummary, input: NameId) -> Option<Input> {
        input_error(self.graph, self.history, pair, input)
    }
}

/// The error of one input over the positions that the step to `pair` reads.
pub(super) fn input_error(
    graph: &Graph,
    history: &History<'_>,
    pair: &PairSummary,
    input: NameId,
) -> Option<Input> {
    let reads = reads(graph, pair.name, input);
    Some(history.peak(input, pair, reads)?.input())
}

/// The kind of the step from the captured inputs of a name to it.
pub(super) fn step_kind(graph: &Graph, name: NameId) -> Kind {
    let Some(place) = graph.place(name) else {
        return Kind::Unknown;
    };
    let gap = graph.origins(name).gap;
    match Kind::of(place) {
        kind if gap.is_empty() => kind,
        Kind::Context if !gap.other => Kind::FusedAttention,
        _ => Kind::Unknown,
    }
}

/// Which positions of this input the step reads: keys and values from the beginning, and so with all that lies before
/// an attention that nobody captured.
pub(super) fn reads(graph: &Graph, name: NameId, input: NameId) -> Reads {
    let Some(place) = graph.place(name) else {
        // Nothing is known of the step.
        return Reads::Past;
    };
    let is_query = || {
        let place = graph.place(input);
        matches!(
            place,
            Some(Place::Layer(_, Stage::Q | Stage::QNorm | Stage::QRope))
        )
    };
    let is_cached = || {
        let place = graph.place(input);
        matches!(
            place,
            Some(Place::Layer(
                _,
                Stage::K | Stage::V | Stage::KNorm | Stage::KRope
            ))
        )
    };
    let gap = graph.origins(name).gap;
    let from_the_beginning = if attends(place) {
        is_cached() || !gap.is_empty() && !is_query()
    } else {
        gap.attention
    };
    if from_the_beginning {
        Reads::Past
    } else {
        Reads::Own
    }
}
