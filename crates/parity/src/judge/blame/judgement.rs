//! All pairs judged, once all are known.

use super::gain::Gains;
use super::graph::Graph;
use super::history::{History, Unmeasured};
use super::local::{Judge, reads, step_kind};
use super::operation::Kind;
use super::origin::{Field, Origin, exceeds, origins};
use crate::align::{NameId, Names};
use crate::judge::criterion::Limit;
use crate::judge::summary::PairSummary;

/// The error of a checkpoint that another one is computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct InputError {
    /// Its name.
    pub checkpoint: String,
    /// Its NMSE where the other one reads it; the largest, where it reads several positions.
    pub nmse: f64,
}

/// Where the pairs of a comparison begin to disagree.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// What is computed from what.
    pub graph: Graph,
    /// All origins, the first in dataflow order first.
    pub origins: Vec<Origin>,
    /// What could not be measured.
    unmeasured: Unmeasured,
}

impl Judgement {
    /// Notes in each of `pairs` what its operation adds. `sources` are the logged inputs of each name.
    pub(crate) fn of(
        pairs: &mut [PairSummary],
        names: &Names,
        sources: &[Vec<String>],
        unmeasured: Unmeasured,
        limit: &Limit,
    ) -> Self {
        let graph = Graph::of(names, |id| {
            sources.get(id.index()).map_or(&[], Vec::as_slice)
        });
        if let Limit::Noise(noise) = limit {
            let history = History::of(pairs, &unmeasured);
            let gains = Gains::of(pairs, &graph, &history);
            let judge = Judge {
                graph: &graph,
                history: &history,
                noise,
                gains: &gains,
            };
            let errors: Vec<_> = pairs
                .iter()
                .map(|pair| judge.local_error(pair, names.name(pair.name)))
                .collect();
            for (pair, local) in pairs.iter_mut().zip(errors) {
                pair.local = Some(local);
            }
        }
        Self {
            graph,
            origins: Vec::new(),
            unmeasured,
        }
    }

    /// Finds where disagreement begins, once it is known of every pair what its operation adds.
    pub(crate) fn find_origins(&mut self, pairs: &[PairSummary], names: &Names, limit: &Limit) {
        if !pairs.iter().any(|pair| exceeds(pair, limit)) {
            // Nobody is to be blamed, and nobody else need be known.
            self.origins = Vec::new();
            return;
        }
        let history = History::of(pairs, &self.unmeasured);
        let graph = &self.graph;
        let gains = Gains::of(pairs, graph, &history);
        let field = Field {
            pairs,
            names,
            graph,
            limit,
            gains: &gains,
        };
        let mut origins = origins(&field, &history);
        for origin in &mut origins {
            origin.inputs = inputs(graph, &history, names, &pairs[origin.first]);
        }
        self.origins = origins;
    }

    /// The kind of the step from the captured inputs of a name to it.
    pub fn step_kind(&self, name: NameId) -> Kind {
        step_kind(&self.graph, name)
    }

    /// The first origin that is a mistake.
    pub fn first(&self) -> Option<&Origin> {
        self.origins
            .iter()
            .find(|origin| origin.undone_by.is_none())
    }
}

/// The errors of what a pair was computed from.
fn inputs(
    graph: &Graph,
    history: &History<'_>,
    names: &Names,
    pair: &PairSummary,
) -> Vec<InputError> {
    let of_input = |input: &NameId| {
        let reads = reads(graph, pair.name, *input);
        Some(InputError {
            checkpoint: names.name(*input).to_owned(),
            nmse: history.peak(*input, pair, reads)?.nmse,
        })
    };
    graph
        .origins(pair.name)
        .inputs
        .iter()
        .filter_map(of_input)
        .collect()
}
