//! Which map a trace is read with.

use super::map::{BoundMap, Mapped, NameMap};
use super::shipped::shipped;
use crate::align::Place;
use crate::error::Error;
use crate::trace::{Entry, Trace};
use orch_log::format::{Record, TOKENS};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// What the user wants.
#[derive(Clone, Debug, Default)]
pub enum Choice {
    /// A shipped map where the names say which.
    #[default]
    Auto,
    /// The names are canonical, or equal in both traces.
    AsTheyAre,
    /// This map.
    Map(Arc<NameMap>),
}

/// The names that the first records of a trace have.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// One record for each name, operation and occurrence, without its values.
    records: BTreeMap<(String, Option<String>, u64), Record>,
    teams: BTreeSet<String>,
}

/// The map that was chosen.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// The map; `None` where names are taken as they are.
    pub map: Option<Arc<NameMap>>,
    /// True where nobody asked for it by name.
    pub is_automatic: bool,
    /// Names of the sample that are not canonical.
    pub foreign_names: usize,
    /// Of them known to the map.
    pub known_names: usize,
    /// Shipped maps that fit equally well and read the names differently: none of them was used.
    pub undecided: Vec<String>,
    operations: HashSet<(String, String)>,
}

impl Chosen {
    /// The map, bound to the trace.
    pub fn bound(&self) -> Option<BoundMap<'_>> {
        let map = self.map.as_ref()?;
        Some(map.bound_to(self.operations.clone()))
    }
}

impl Sample {
    /// How many records are looked at: several passes of a model of thousand nodes.
    pub const RECORDS: usize = 4096;

    /// The sample of a trace.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read.
    pub fn of(trace: &Trace) -> Result<Self, Error> {
        let mut sample = Self::default();
        let mut records = trace.records()?;
        let mut seen = 0;
        while seen < Self::RECORDS
            && let Some(entry) = records.next()?
        {
            if let Entry::Record(located) = entry {
                seen += 1;
                sample.add(&located.record);
            }
        }
        Ok(sample)
    }

    /// Takes in one record.
    pub fn add(&mut self, record: &Record) {
        if record.checkpoint == TOKENS {
            return;
        }
        let key = (
            record.checkpoint.clone(),
            record.op.clone(),
            record.occurrence,
        );
        self.records.entry(key).or_insert_with(|| {
            let mut kept = Record::default();
            kept.checkpoint = record.checkpoint.clone();
            kept.op = record.op.clone();
            kept.occurrence = record.occurrence;
            kept.shape = record.shape.clone();
            kept
        });
        self.teams.insert(record.team.to_lowercase());
    }

    fn names(&self) -> BTreeSet<&str> {
        self.records.keys().map(|(name, _, _)| &**name).collect()
    }

    fn operations(&self) -> HashSet<(String, String)> {
        let named = self.records.keys();
        named
            .filter_map(|(name, op, _)| Some((name.clone(), op.clone()?)))
            .collect()
    }
}

/// Chooses the map of a trace.
///
/// Left to itself it takes a shipped map only where most names are not canonical, and that map knows at least half of
/// them and more than every other map does; maps of the trace's own team go first.
pub fn choose(sample: &Sample, choice: &Choice) -> Chosen {
    let names = sample.names();
    let foreign: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| Place::of(name).is_none())
        .collect();
    let known = |map: &NameMap| foreign.iter().filter(|name| map.knows(name)).count();
    let chosen = |map: Arc<NameMap>, is_automatic: bool| Chosen {
        is_automatic,
        foreign_names: foreign.len(),
        known_names: known(&map),
        map: Some(map),
        undecided: Vec::new(),
        operations: sample.operations(),
    };
    match choice {
        Choice::AsTheyAre => Chosen::default(),
        Choice::Map(map) => chosen(Arc::clone(map), false),
        Choice::Auto => {
            if foreign.len() * 2 <= names.len() {
                return Chosen::default();
            }
            let fitting = |maps: Vec<&'static NameMap>| -> Vec<&'static NameMap> {
                let mut maps = maps;
                maps.retain(|map| map.may_be_chosen(&foreign));
                let best = maps.iter().map(|map| known(map)).max().unwrap_or(0);
                let enough = best > 0 && best * 2 >= foreign.len();
                maps.into_iter()
                    .filter(|map| enough && known(map) == best)
                    .collect()
            };
            let of_team =
                |map: &&NameMap| map.teams().iter().any(|team| sample.teams.contains(team));
            let mut best = fitting(shipped().iter().filter(of_team).collect());
            if best.is_empty() {
                best = fitting(shipped().iter().collect());
            }
            let Some(first) = best.first() else {
                return Chosen::default();
            };
            if best.iter().any(|other| !agree(sample, first, other)) {
                return Chosen {
                    undecided: best.iter().map(|map| map.name().to_owned()).collect(),
                    ..Chosen::default()
                };
            }
            chosen(Arc::new((*first).clone()), true)
        }
    }
}

/// True where two maps read every name of the sample alike.
fn agree(sample: &Sample, one: &NameMap, other: &NameMap) -> bool {
    let operations = sample.operations();
    let (one, other) = (one.bound_to(operations.clone()), other.bound_to(operations));
    let targets = |map: &BoundMap<'_>, record: &Record| match map.map(record) {
        Mapped::Targets(targets) => targets,
        Mapped::Ignored | Mapped::Unknown => Vec::new(),
    };
    sample
        .records
        .values()
        .all(|record| targets(&one, record) == targets(&other, record))
}
