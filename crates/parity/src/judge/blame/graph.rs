//! Which captured checkpoints each captured checkpoint is computed from, and what lies between uncaptured.

use super::gap::{Gap, is_optional};
use crate::align::{NameId, Names, Place, Stage};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What one checkpoint is computed from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    /// The nearest captured checkpoints before it.
    pub inputs: Vec<NameId>,
    /// What nobody captured between them and it.
    pub gap: Gap,
}

/// The dataflow between the captured names.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    places: Vec<Option<Place>>,
    origins: Vec<Origins>,
    consumers: Vec<Vec<NameId>>,
    vocabulary: Vocabulary,
}

impl Graph {
    /// The graph of `names`; `src_of` gives what the reference logged as the inputs of a name.
    ///
    /// Logged inputs win over the canonical order, where at least one of them was captured.
    pub fn of<'s>(names: &Names, src_of: impl Fn(NameId) -> &'s [String]) -> Self {
        let places: Vec<Option<Place>> = names.iter().map(Place::of).collect();
        let vocabulary = Vocabulary::of(names, &places);
        let mut origins = vec![Origins::default(); places.len()];
        let mut canonical: BTreeMap<Option<u32>, Vec<usize>> = BTreeMap::new();
        for (at, (name, place)) in names.iter().zip(&places).enumerate() {
            let own = names.find(name);
            let logged: Vec<NameId> = own
                .map_or(&[][..], &src_of)
                .iter()
                .filter_map(|source| names.find(source))
                .filter(|id| Some(*id) != own)
                .collect();
            if !logged.is_empty() {
                origins[at].inputs = logged;
            } else if let Some(place) = place {
                let layer = match place {
                    Place::Layer(layer, _) => Some(*layer),
                    _ => None,
                };
                canonical.entry(layer).or_default().push(at);
            }
        }
        // Layer by layer, for what enters one is computed from what enters the one before.
        let mut stream = Stream::new(&vocabulary);
        let outside = canonical.remove(&None).unwrap_or_default();
        for (layer, names) in canonical {
            let layer = layer.unwrap_or_default();
            stream.enter(layer, &vocabulary);
            for at in names {
                origins[at] = vocabulary.origins(places[at], &stream.reach);
            }
        }
        stream.enter(vocabulary.layers, &vocabulary);
        for at in outside {
            origins[at] = vocabulary.origins(places[at], &stream.reach);
        }

        let mut consumers = vec![Vec::new(); places.len()];
        for (name, origins) in names.iter().zip(&origins) {
            let Some(id) = names.find(name) else { continue };
            for input in &origins.inputs {
                let of_input: &mut Vec<NameId> = &mut consumers[input.index()];
                if of_input.last() != Some(&id) {
                    of_input.push(id);
                }
            }
        }
        Self {
            places,
            origins,
            consumers,
            vocabulary,
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
        self.consumers[name.index()].iter().copied()
    }

    /// Steps between a name and its inputs that every decoder has and nobody captured, in dataflow order.
    pub fn uncaptured(&self, name: NameId) -> Vec<Place> {
        let gap = self.origins(name).gap;
        match self.place(name) {
            Some(place) if !gap.is_empty() => self.vocabulary.uncaptured(place),
            _ => Vec::new(),
        }
    }
}

/// The canonical places that were captured.
#[derive(Clone, Debug, Default)]
struct Vocabulary {
    captured: HashMap<Place, NameId>,
    layers: u32,
    /// Layers of which something was captured.
    present: BTreeSet<u32>,
    /// Stages that some layer has.
    stages: BTreeSet<Stage>,
}

impl Vocabulary {
    fn of(names: &Names, places: &[Option<Place>]) -> Self {
        let mut found = Self::default();
        for (name, place) in names.iter().zip(places) {
            let Some(place) = *place else { continue };
            if let Place::Layer(layer, stage) = place {
                found.layers = found.layers.max(layer.saturating_add(1));
                found.present.insert(layer);
                found.stages.insert(stage);
            }
            // A layer can be written in several ways, of which one is its name.
            if let Some(id) = names.find(name).filter(|_| place.name() == name) {
                found.captured.insert(place, id);
            }
        }
        found
    }

    fn inputs(&self, place: Place) -> Vec<Place> {
        place.inputs(self.layers, &|place| self.captured.contains_key(&place))
    }

    /// What a place is computed from, where `entering` is what enters its layer.
    fn origins(&self, place: Option<Place>, entering: &Reach) -> Origins {
        let reach = place.map_or_else(Reach::default, |place| self.reach(place, entering));
        let Reach { inputs, gap } = reach;
        // Without any input all that came before is missing, which is no gap between two ends.
        let gap = if inputs.is_empty() {
            Gap::default()
        } else {
            gap
        };
        Origins { inputs, gap }
    }

    /// What is reached from a place backwards, depth first. All that lies before its layer is reached through the stream that
    /// enters it, and so is the same for all places of the layer.
    fn reach(&self, place: Place, entering: &Reach) -> Reach {
        let stream = match place {
            Place::Layer(layer, _) => stream_into(layer),
            _ => stream_into(self.layers),
        };
        let mut found = Reach::default();
        let mut seen = BTreeSet::new();
        let mut open = self.inputs(place);
        open.reverse();
        while let Some(place) = open.pop() {
            // Token ids are compared as inputs of the whole run.
            if place == Place::Tokens || !seen.insert(place) {
                continue;
            }
            if place == stream {
                found.join(entering);
            } else if let Some(id) = self.captured.get(&place) {
                found.inputs.push(*id);
            } else {
                self.miss(place, &mut found.gap);
                open.extend(self.inputs(place).into_iter().rev());
            }
        }
        found
    }

    fn miss(&self, place: Place, gap: &mut Gap) {
        if !is_optional(place, &self.stages) {
            gap.add(place);
        }
    }

    fn uncaptured(&self, place: Place) -> Vec<Place> {
        let mut found = BTreeSet::new();
        let mut open = self.inputs(place);
        let mut seen = BTreeSet::new();
        while let Some(place) = open.pop()
            && found.len() < MOST
        {
            let is_end = place == Place::Tokens || self.captured.contains_key(&place);
            if is_end || !seen.insert(place) {
                continue;
            }
            if !is_optional(place, &self.stages) {
                found.insert(place);
            }
            open.extend(self.inputs(place));
        }
        found.into_iter().collect()
    }
}

/// How many uncaptured steps are listed: a trace may name a layer of any number.
const MOST: usize = 1 << 17;

/// The stream that enters a layer, or that leaves the last one.
fn stream_into(layer: u32) -> Place {
    match layer.checked_sub(1) {
        Some(before) => Place::Layer(before, Stage::Output),
        None => Place::Embedding,
    }
}

/// What is reached from some place backwards.
#[derive(Clone, Debug, Default)]
struct Reach {
    inputs: Vec<NameId>,
    gap: Gap,
}

impl Reach {
    fn join(&mut self, other: &Self) {
        self.inputs.extend_from_slice(&other.inputs);
        self.gap.join(other.gap);
    }
}

/// The residual stream, followed from layer to layer.
struct Stream {
    /// The layer that it enters.
    layer: u32,
    /// What is reached from it, itself included.
    reach: Reach,
}

impl Stream {
    fn new(vocabulary: &Vocabulary) -> Self {
        let mut stream = Self {
            layer: 0,
            reach: Reach::default(),
        };
        stream.pass(vocabulary, Reach::default());
        stream
    }

    /// Follows it to a layer further on.
    fn enter(&mut self, layer: u32, vocabulary: &Vocabulary) {
        while self.layer < layer {
            if !vocabulary.present.contains(&self.layer) {
                // However many layers without a name there are, all that they do is missing.
                let next = vocabulary.present.range(self.layer..).next();
                self.layer = next.map_or(layer, |next| *next).min(layer);
                (self.reach.gap.attention, self.reach.gap.other) = (true, true);
                continue;
            }
            let output = Place::Layer(self.layer, Stage::Output);
            let through = vocabulary.reach(output, &self.reach);
            self.layer += 1;
            self.pass(vocabulary, through);
        }
    }

    /// Notes what is reached from the stream where it is now; `through` is what it is computed from.
    fn pass(&mut self, vocabulary: &Vocabulary, through: Reach) {
        let place = stream_into(self.layer);
        self.reach = match vocabulary.captured.get(&place) {
            Some(id) => Reach {
                inputs: vec![*id],
                gap: Gap::default(),
            },
            None => through,
        };
        if !vocabulary.captured.contains_key(&place) {
            vocabulary.miss(place, &mut self.reach.gap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::inputs_of;

    /// All that is reached backwards without passing what was captured, by the definition.
    fn missing(graph: &Graph, place: Place, found: &mut BTreeSet<Place>) {
        for input in graph.vocabulary.inputs(place) {
            if !graph.vocabulary.captured.contains_key(&input) && found.insert(input) {
                missing(graph, input, found);
            }
        }
    }

    /// Any of the names of four layers captured or not: inputs as the vocabulary tells them one by one, in the same order.
    #[test]
    fn layer_by_layer_is_as_name_by_name() {
        let mut state = 7_u64;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 40
        };
        for round in 0..300 {
            let share = round % 10 + 1;
            let mut all = vec![Place::Embedding, Place::FinalNorm, Place::Logits];
            for layer in [0, 1, 2, 5] {
                all.extend(Stage::ALL.map(|stage| Place::Layer(layer, stage)));
            }
            all.retain(|_| draw() % 12 < share);
            // In any order, as a file may have them.
            all.sort_by_cached_key(|_| draw());
            let mut names = Names::default();
            for place in &all {
                names.id(&place.name());
            }
            let graph = Graph::of(&names, |_| &[]);
            let layers = graph.vocabulary.layers;
            for place in all {
                let name = place.name();
                let id = names.find(&name).unwrap();
                let expected = inputs_of(&name, layers, &|name| names.find(name).is_some());
                let origins = graph.origins(id);
                let found: Vec<&str> = origins.inputs.iter().map(|id| names.name(*id)).collect();
                assert_eq!(found, expected, "{name}");
                for input in &origins.inputs {
                    assert!(graph.consumers(*input).any(|consumer| consumer == id));
                }
                let mut between = BTreeSet::new();
                if !expected.is_empty() {
                    missing(&graph, place, &mut between);
                }
                between.retain(|place| {
                    *place != Place::Tokens && !is_optional(*place, &graph.vocabulary.stages)
                });
                let between: Vec<Place> = between.into_iter().collect();
                assert_eq!(graph.uncaptured(id), between, "{name}");
                let mut gap = Gap::default();
                between.into_iter().for_each(|place| gap.add(place));
                assert_eq!(origins.gap, gap, "{name}");
            }
        }
    }

    #[test]
    fn a_layer_of_any_number_takes_no_time() {
        let mut names = Names::default();
        let ids: Vec<NameId> = ["layer_1_output", "layer_4294967294_q", "logits"]
            .iter()
            .filter_map(|name| names.id(name))
            .collect();
        let graph = Graph::of(&names, |_| &[]);
        assert_eq!(graph.origins(ids[1]).inputs, [ids[0]]);
        assert_eq!(graph.origins(ids[2]).inputs, [ids[1], ids[0]]);
        assert_eq!(graph.uncaptured(ids[1]).len(), MOST);
    }
}
