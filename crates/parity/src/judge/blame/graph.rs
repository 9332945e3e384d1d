//! Which captured checkpoints each captured checkpoint is computed from, and what lies between uncaptured.

use crate::align::{NameId, Names, Place, Stage};
use std::collections::BTreeSet;

/// What one checkpoint is computed from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    /// The nearest captured checkpoints before it.
    pub inputs: Vec<NameId>,
    /// Steps between them and it that every decoder has and nobody captured, in dataflow order.
    pub uncaptured: Vec<Place>,
}

/// The dataflow between the captured names.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    ids: Vec<NameId>,
    places: Vec<Option<Place>>,
    origins: Vec<Origins>,
}

impl Graph {
    /// The graph of `names`; `src_of` gives what the reference logged as the inputs of a name.
    ///
    /// Logged inputs win over the canonical order, where at least one of them was captured.
    pub fn of<'s>(names: &Names, src_of: impl Fn(NameId) -> &'s [String]) -> Self {
        let places: Vec<Option<Place>> = names.iter().map(Place::of).collect();
        let layers = places.iter().flatten().filter_map(|place| match place {
            Place::Layer(layer, _) => Some(layer + 1),
            _ => None,
        });
        let layers = layers.max().unwrap_or(0);
        let stages = places.iter().flatten().filter_map(|place| match place {
            Place::Layer(_, stage) => Some(*stage),
            _ => None,
        });
        let stages: BTreeSet<Stage> = stages.collect();
        let origins = names
            .iter()
            .zip(&places)
            .map(|(name, place)| {
                let own = names.find(name);
                let logged: Vec<NameId> = own
                    .map_or(&[][..], &src_of)
                    .iter()
                    .filter_map(|source| names.find(source))
                    .filter(|id| Some(*id) != own)
                    .collect();
                match place {
                    _ if !logged.is_empty() => Origins {
                        inputs: logged,
                        uncaptured: Vec::new(),
                    },
                    Some(place) => canonical(*place, layers, names, &stages),
                    None => Origins::default(),
                }
            })
            .collect();
        Self {
            ids: names.iter().filter_map(|name| names.find(name)).collect(),
            places,
            origins,
        }
    }

    /// The place of a name in the vocabulary.
    pub fn place(&self, name: NameId) -> Option<Place> {
        self.places.get(name.index()).copied().flatten()
    }

    /// What a name is computed from.
    pub fn origins(&self, name: NameId) -> &Origins {
        &self.origins[name.index()]
    }

    /// The names that are computed from this one.
    pub fn consumers(&self, name: NameId) -> impl Iterator<Item = NameId> {
        self.ids
            .iter()
            .zip(&self.origins)
            .filter(move |(_, origins)| origins.inputs.contains(&name))
            .map(|(id, _)| *id)
    }
}

fn canonical(place: Place, layers: u32, names: &Names, stages: &BTreeSet<Stage>) -> Origins {
    let captured = |name: &str| names.find(name).is_some();
    let mut found = Origins::default();
    let mut uncaptured = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = place.inputs(layers, &captured);
    open.reverse();
    while let Some(place) = open.pop() {
        // Token ids are compared as inputs of the whole run.
        if place == Place::Tokens || !seen.insert(place) {
            continue;
        }
        match names.find(&place.name()) {
            Some(id) => found.inputs.push(id),
            None => {
                if !is_optional(place, stages) {
                    uncaptured.insert(place);
                }
                open.extend(place.inputs(layers, &captured).into_iter().rev());
            }
        }
    }
    // Without any input all that came before is missing, which is no gap between two ends.
    if !found.inputs.is_empty() {
        found.uncaptured = uncaptured.into_iter().collect();
    }
    found
}

/// Whether a model may well be without this step; a step that some layer has is missed in the others.
fn is_optional(place: Place, stages: &BTreeSet<Stage>) -> bool {
    let Place::Layer(_, stage) = place else {
        return false;
    };
    let rare = stage.is_expert()
        || matches!(
            stage,
            Stage::QNorm
                | Stage::KNorm
                | Stage::QRope
                | Stage::KRope
                | Stage::FfnGate
                | Stage::FfnAct
                | Stage::AttnPostNorm
                | Stage::FfnPostNorm
        );
    rare && !stages.contains(&stage)
}
