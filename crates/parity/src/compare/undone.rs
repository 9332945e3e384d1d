//! Which differences of layout were undone, and where.

use crate::align::Place;
use crate::align::layout::Undone;
use std::collections::{BTreeMap, BTreeSet};

/// Differences of layout that were undone, with the checkpoints and pairs concerned.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndoneTally(BTreeMap<Undone, UndoneWhere>);

/// Where one difference was undone.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndoneWhere {
    /// Names, `*` for the layer.
    pub(crate) checkpoints: BTreeSet<String>,
    /// Pairs.
    pub(crate) pairs: u64,
}

/// How many names are kept: a trace that invents names must not fill the memory.
const MAX_NAMES: usize = 1000;

impl UndoneTally {
    /// Notes what was undone for a pair of this checkpoint.
    pub(crate) fn note(&mut self, checkpoint: &str, undone: &[Undone]) {
        for what in undone {
            let place = self.0.entry(what.clone()).or_default();
            place.pairs += 1;
            if place.checkpoints.len() < MAX_NAMES {
                place.checkpoints.insert(pattern(checkpoint));
            }
        }
    }

    /// What was undone, and where.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Undone, &UndoneWhere)> {
        self.0.iter()
    }
}

impl UndoneTally {
    /// Where one difference was undone.
    pub(crate) fn of(&self, what: &Undone) -> Option<&UndoneWhere> {
        self.0.get(what)
    }
}

/// The name with `*` for its layer.
pub(crate) fn pattern(checkpoint: &str) -> String {
    match Place::of(checkpoint) {
        Some(Place::Layer(_, stage)) => format!("layer_*_{}", stage.name()),
        _ => checkpoint.to_owned(),
    }
}
