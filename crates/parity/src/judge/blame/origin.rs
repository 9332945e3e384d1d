//! Where disagreement begins, each independent place once.

use super::flow::dataflow_order;
use super::gain::Gains;
use super::graph::Graph;
use super::history::History;
use super::judgement::InputError;
use super::local::{Floor, reads};
use super::undone::conventions;
use crate::align::{NameId, Names, Place, Stage};
use crate::judge::criterion::Limit;
use crate::judge::summary::PairSummary;
use std::collections::BTreeMap;

/// An operation that adds more than rounding, in one layer or in a run of layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The checkpoints of its first layer: several where one step makes them, as the rotation of queries and of keys.
    pub checkpoints: Vec<NameId>,
    /// The checkpoints of all its layers.
    pub names: Vec<NameId>,
    /// The layers, ascending; empty outside the layers.
    pub layers: Vec<u32>,
    /// The layers are all that were compared.
    pub in_all_layers: bool,
    /// The first pair in dataflow order, as an index into the tally's pairs.
    pub first: usize,
    /// The errors of what that pair is computed from.
    pub inputs: Vec<InputError>,
    /// Pairs that are blamed.
    pub pairs: u64,
    /// What is computed from it and agrees as if nothing had happened: another convention, not a mistake.
    pub undone_by: Option<NameId>,
}

/// Everything blame needs, borrowed for the time of one judgement.
pub(super) struct Field<'a> {
    pub(super) pairs: &'a [PairSummary],
    pub(super) names: &'a Names,
    pub(super) graph: &'a Graph,
    pub(super) limit: &'a Limit,
    pub(super) gains: &'a Gains,
}

/// Blamed pairs of one name.
struct Blamed {
    name: NameId,
    first: usize,
    /// Place of `first` in dataflow order.
    at: usize,
    pairs: u64,
    undone_by: Option<NameId>,
}

/// All origins, the first in dataflow order first.
pub(super) fn origins(field: &Field<'_>, history: &History<'_>) -> Vec<Origin> {
    let order = dataflow_order(field.pairs, field.names, field.graph);
    let mut by_name: BTreeMap<NameId, Blamed> = BTreeMap::new();
    let mut any = false;
    for (at, index) in order.iter().enumerate() {
        let index = *index as usize;
        let pair = &field.pairs[index];
        // Of a step whose inputs nobody knows the first one may be blamed: what follows may have inherited it.
        let is_rootless = field.graph.origins(pair.name).inputs.is_empty();
        if !is_blamed(field, history, pair)
            || any && (is_rootless || is_doubtful(field, history, pair))
        {
            continue;
        }
        any = true;
        by_name
            .entry(pair.name)
            .or_insert(Blamed {
                name: pair.name,
                first: index,
                at,
                pairs: 0,
                undone_by: None,
            })
            .pairs += 1;
    }
    let found: Vec<(NameId, usize)> = by_name
        .values()
        .map(|blamed| (blamed.name, blamed.first))
        .collect();
    let undone = conventions(field, history, &found);
    for blamed in by_name.values_mut() {
        blamed.undone_by = undone.get(&blamed.name).copied();
    }
    group(field, by_name.into_values().collect())
}

/// Whether a pair may be blamed: nothing else is.
pub(super) fn exceeds(pair: &PairSummary, limit: &Limit) -> bool {
    match (&pair.local, limit) {
        (Some(local), Limit::Noise(_)) => local.excess() > 1.0,
        _ => pair.above_limit,
    }
}

fn is_blamed(field: &Field<'_>, history: &History<'_>, pair: &PairSummary) -> bool {
    let inherits = |input: &NameId| {
        let mut there = history.overlapping(*input, pair);
        there.any(|input| input.above_limit)
    };
    let by_its_limit = !matches!((&pair.local, field.limit), (Some(_), Limit::Noise(_)));
    exceeds(pair, field.limit)
        && !(by_its_limit && field.graph.origins(pair.name).inputs.iter().any(inherits))
}

/// How many times more than explained must be added to what a mistake before it has already spoilt.
///
/// # Source
///
/// Rounding points in all directions, a mistake in one: operations hand some directions on with several times the gain
/// that clean runs show. A planted `norm-centred` in layer 0, for one, makes `layer_10_v` exceed the model of clean runs.
const AFTER_A_MISTAKE: f64 = 4.0;

/// Whether the inputs of a pair are so wrong already that the model of its operation is not to be relied on.
fn is_doubtful(field: &Field<'_>, history: &History<'_>, pair: &PairSummary) -> bool {
    let (Some(local), Limit::Noise(noise)) = (&pair.local, field.limit) else {
        return false;
    };
    let is_spoilt = |input: &NameId| {
        let limit = noise.max_nmse(field.names.name(*input));
        let reads = reads(field.graph, pair.name, *input);
        let peak = history.peak(*input, pair, reads);
        peak.is_some_and(|peak| peak.nmse > limit)
    };
    !matches!(local.floor, Floor::Recomputed | Floor::RecomputedReference)
        && local.excess() <= AFTER_A_MISTAKE
        && field.graph.origins(pair.name).inputs.iter().any(is_spoilt)
}

/// One finding for each run of layers, siblings together.
fn group(field: &Field<'_>, mut blamed: Vec<Blamed>) -> Vec<Origin> {
    blamed.sort_by_key(|blamed| blamed.at);
    let compared = |family: Stage| {
        let places = field.names.iter().filter_map(Place::of);
        let layers = places.filter_map(|place| match place {
            Place::Layer(layer, stage) if self::family(stage) == family => Some(layer),
            _ => None,
        });
        layers.collect::<std::collections::BTreeSet<u32>>()
    };
    let mut found: Vec<(usize, Origin)> = Vec::new();
    let mut by_family: BTreeMap<(Stage, bool), BTreeMap<u32, Vec<&Blamed>>> = BTreeMap::new();
    for one in &blamed {
        match field.graph.place(one.name) {
            Some(Place::Layer(layer, stage)) => by_family
                .entry((family(stage), one.undone_by.is_some()))
                .or_default()
                .entry(layer)
                .or_default()
                .push(one),
            _ => found.push((one.at, origin(&[one], &[one], Vec::new(), false))),
        }
    }
    for ((family, _), layers) in by_family {
        let compared = compared(family);
        let numbers: Vec<u32> = layers.keys().copied().collect();
        for run in runs(&numbers, &compared) {
            let of_layer = |layer: &u32| layers[layer].iter().copied();
            let members: Vec<&Blamed> = run.iter().flat_map(of_layer).collect();
            let siblings: Vec<&Blamed> = run.iter().take(1).flat_map(of_layer).collect();
            let in_all = run.len() > 1 && run.len() == compared.len();
            let at = members.iter().map(|member| member.at).min();
            found.push((
                at.unwrap_or(usize::MAX),
                origin(&members, &siblings, run, in_all),
            ));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, origin)| origin).collect()
}

fn origin(
    members: &[&Blamed],
    siblings: &[&Blamed],
    layers: Vec<u32>,
    in_all_layers: bool,
) -> Origin {
    let mut checkpoints: Vec<&Blamed> = siblings.to_vec();
    checkpoints.sort_by_key(|member| member.at);
    let first = members.iter().min_by_key(|member| member.at);
    Origin {
        checkpoints: checkpoints.iter().map(|member| member.name).collect(),
        names: members.iter().map(|member| member.name).collect(),
        layers,
        in_all_layers,
        first: first.map_or(0, |member| member.first),
        inputs: Vec::new(),
        pairs: members.iter().map(|member| member.pairs).sum(),
        undone_by: first.and_then(|member| member.undone_by),
    }
}

/// Layers that follow one another among those compared, at least three of them, are one run; others stand alone.
fn runs(layers: &[u32], compared: &std::collections::BTreeSet<u32>) -> Vec<Vec<u32>> {
    if layers.len() == compared.len() {
        return vec![layers.to_vec()];
    }
    let mut runs: Vec<Vec<u32>> = Vec::new();
    for layer in layers {
        let follows = |run: &Vec<u32>| {
            run.last()
                .is_some_and(|last| compared.range(last + 1..).next() == Some(layer))
        };
        match runs.last_mut() {
            Some(run) if follows(run) => run.push(*layer),
            _ => runs.push(vec![*layer]),
        }
    }
    let (long, short): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.len() >= 3);
    let single = short.into_iter().flatten().map(|layer| vec![layer]);
    long.into_iter().chain(single).collect()
}

/// The first of the stages that one mistake makes wrong together.
pub(super) fn family(stage: Stage) -> Stage {
    match stage {
        Stage::K | Stage::V => Stage::Q,
        Stage::KNorm => Stage::QNorm,
        Stage::KRope => Stage::QRope,
        Stage::FfnUp => Stage::FfnGate,
        other => other,
    }
}
