//! Differences that all that is computed from them undoes: another convention, not a mistake.

use super::history::History;
use super::local::Judge;
use super::origin::{Field, family};
use crate::align::{NameId, Place, Stage};
use crate::judge::criterion::Limit;
use std::collections::{BTreeMap, BTreeSet};

/// What the consumers of a blamed pair say.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Consumers {
    /// All agree as if it had only its inputs' errors, and to less than a third of the difference; one of them.
    Undo(NameId),
    /// All agree, as far as noise tells that would hide the difference.
    Agree(NameId),
    /// One does not, or there is none.
    Inherit,
}

/// Which of the blamed names, each with its first pair, are undone, and by what.
///
/// Engines that count positions or order lanes otherwise do so in all layers. Where noise hides in one layer what
/// another one shows, the other one speaks for both, unless a consumer in any layer contradicts.
pub(super) fn conventions(
    field: &Field<'_>,
    history: &History<'_>,
    blamed: &[(NameId, usize)],
) -> BTreeMap<NameId, NameId> {
    let names: Vec<NameId> = blamed.iter().map(|(name, _)| *name).collect();
    let said: Vec<(NameId, Option<Stage>, Consumers)> = blamed
        .iter()
        .map(|(name, first)| {
            let stage = match field.graph.place(*name) {
                Some(Place::Layer(_, stage)) => Some(family(stage)),
                _ => None,
            };
            (*name, stage, consumers(field, history, &names, *first))
        })
        .collect();
    let stages = |says: fn(Consumers) -> bool| -> BTreeSet<Option<Stage>> {
        let those = said
            .iter()
            .filter(|(_, stage, said)| stage.is_some() && says(*said));
        those.map(|(_, stage, _)| *stage).collect()
    };
    let undone = stages(|said| matches!(said, Consumers::Undo(_)));
    let inherited = stages(|said| said == Consumers::Inherit);
    said.iter()
        .filter_map(|(name, stage, said)| match said {
            Consumers::Undo(witness) => Some((*name, *witness)),
            Consumers::Agree(witness) if undone.contains(stage) && !inherited.contains(stage) => {
                Some((*name, *witness))
            }
            _ => None,
        })
        .collect()
}

fn consumers(
    field: &Field<'_>,
    history: &History<'_>,
    blamed: &[NameId],
    index: usize,
) -> Consumers {
    let Limit::Noise(noise) = field.limit else {
        return Consumers::Inherit;
    };
    let judge = Judge {
        graph: field.graph,
        history,
        noise,
        gains: field.gains,
    };
    let pair = &field.pairs[index];
    let (mut witness, mut is_proven) = (None, true);
    for consumer in field.graph.consumers(pair.name) {
        for consumer in history.overlapping(consumer, pair) {
            let name = field.names.name(consumer.name);
            let Some(local) = judge
                .as_if_inputs_were_clean(consumer, name, blamed)
                .filter(|local| local.excess() <= 1.0)
            else {
                return Consumers::Inherit;
            };
            // Noise that would hide the error proves nothing.
            let allowed = f64::from(local.explained) + f64::from(local.own);
            is_proven &= allowed < pair.relative_rmse() / 3.0;
            witness = Some(consumer.name);
        }
    }
    match witness {
        Some(witness) if is_proven => Consumers::Undo(witness),
        Some(witness) => Consumers::Agree(witness),
        None => Consumers::Inherit,
    }
}
