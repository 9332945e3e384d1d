//! What a matrix makes of its inputs, and where it makes less of one.

use super::graph::Graph;
use super::history::History;
use super::local::{input_error, step_kind};
use super::operation::{Input, Kind};
use crate::align::{NameId, Place, Stage};
use crate::judge::summary::PairSummary;
use std::collections::BTreeMap;

/// The gain of each product with a matrix: magnitude of the output over that of the input, in the reference.
///
/// The values of a first token are several times smaller than a matrix makes of other inputs of that size: what the
/// model gathers there is not to be read. They cancel; the errors of their inputs, which have no such direction, do not.
#[derive(Debug, Default)]
pub(super) struct Gains {
    by_name: BTreeMap<NameId, Gain>,
    /// The median of all layers.
    by_stage: BTreeMap<Stage, f64>,
}

#[derive(Clone, Copy, Debug)]
struct Gain {
    largest: f64,
    pairs: u32,
}

impl Gains {
    pub(super) fn of(pairs: &[PairSummary], graph: &Graph, history: &History<'_>) -> Self {
        let mut by_name: BTreeMap<NameId, Gain> = BTreeMap::new();
        for pair in pairs {
            let own = match step_kind(graph, pair.name) {
                Kind::Linear => gain(pair, &inputs(pair, graph, history)),
                _ => None,
            };
            let Some(own) = own else { continue };
            let gain = by_name.entry(pair.name).or_insert(Gain {
                largest: own,
                pairs: 0,
            });
            gain.largest = gain.largest.max(own);
            gain.pairs += 1;
        }
        let mut of_stage: BTreeMap<Stage, Vec<f64>> = BTreeMap::new();
        for (name, gain) in &by_name {
            if let Some(Place::Layer(_, stage)) = graph.place(*name) {
                of_stage.entry(stage).or_default().push(gain.largest);
            }
        }
        let median = |mut gains: Vec<f64>| {
            gains.sort_by(f64::total_cmp);
            gains[gains.len() / 2]
        };
        Self {
            by_name,
            by_stage: of_stage
                .into_iter()
                .map(|(stage, gains)| (stage, median(gains)))
                .collect(),
        }
    }

    /// How many times less than usual the matrix makes of `inputs`, 1 where it is not known to: of the same matrix, or
    /// where it was used once only, of that of the middle one of all layers.
    pub(super) fn cancellation(&self, graph: &Graph, pair: &PairSummary, inputs: &[Input]) -> f64 {
        let Some((own, known)) = gain(pair, inputs).zip(self.by_name.get(&pair.name)) else {
            return 1.0;
        };
        let of_stage = match graph.place(pair.name) {
            Some(Place::Layer(_, stage)) if known.pairs == 1 => self.by_stage.get(&stage),
            _ => None,
        };
        (of_stage.copied().unwrap_or(known.largest) / own).max(1.0)
    }
}

fn inputs(pair: &PairSummary, graph: &Graph, history: &History<'_>) -> Vec<Input> {
    let names = graph.origins(pair.name).inputs.iter();
    names
        .filter_map(|input| input_error(graph, history, pair, *input))
        .collect()
}

fn gain(pair: &PairSummary, inputs: &[Input]) -> Option<f64> {
    let output = f64::from(pair.reference_rms?);
    let input = inputs
        .iter()
        .filter_map(|input| input.rms)
        .reduce(f64::max)?;
    (output > 0.0 && input > 0.0).then_some(output / input)
}
