//! What passes by while a trace is read: counts, positions, damage.

use super::intervals::Intervals;
use crate::align::{Key, NameId, Names, rank_of};
use crate::tensor::element_count;
use crate::trace::{Entry, Located};
use foldhash::fast::RandomState;
use orch_log::Filter;
use orch_log::format::{DROPPED, Record, TOKENS};
use std::collections::{BTreeSet, HashMap};

/// What was seen of one checkpoint name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameSurvey {
    /// Records with different keys.
    pub records: u64,
    /// Smallest position.
    pub first_position: i64,
    /// Largest position that a record begins at.
    pub last_position: i64,
}

/// What the records called `logits` hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogitsForm {
    /// No statistics tell.
    #[default]
    Unknown,
    /// What a projection gives.
    Plain,
    /// No number is negative, and each row sums to 1.
    Probabilities,
    /// More than half is minus infinity.
    Masked,
}

/// Vocabularies are larger; below, statistics may look like anything.
const LEAST_VOCABULARY: u64 = 100;

impl LogitsForm {
    fn of(record: &Record) -> Self {
        let Some(stats) = record.stats.filter(|stats| stats.n >= LEAST_VOCABULARY) else {
            return Self::Unknown;
        };
        let sum_of_row = stats.mean * stats.n as f64 / record.n_tokens.max(1) as f64;
        if stats.inf * 2 > stats.n {
            Self::Masked
        } else if stats.min >= 0.0 && stats.max <= 1.0 && (sum_of_row - 1.0).abs() < 0.01 {
            Self::Probabilities
        } else {
            Self::Plain
        }
    }
}

/// Collects what is to be known of one trace in one pass.
///
/// Its memory grows with the number of checkpoint names and with gaps in the positions, not with the
/// number of records.
#[derive(Debug, Default)]
pub struct Survey {
    /// Records, without those that only report on the logger itself.
    pub records: u64,
    /// Lines that are not records.
    pub malformed: u64,
    /// Records whose name is known to be no checkpoint, or one that another record already is.
    pub ignored: u64,
    /// Teams, at most [`Survey::TEAMS`].
    pub teams: BTreeSet<String>,
    /// True where records of several processes of a group were seen.
    pub has_ranks: bool,
    logits: [u64; 4],
    names: Names,
    by_name: Vec<NameSurvey>,
    seen: HashMap<(NameId, u64, u64, u64), Intervals, RandomState>,
}

impl Survey {
    /// How many different teams are remembered.
    pub const TEAMS: usize = 8;

    /// As [`Survey::observe_record`] for a record that may repeat another one under a second name.
    pub fn observe_alias(&mut self, located: &Located) -> Option<Key> {
        let key = Key::of(&located.record);
        let known = self.names.find(&key.checkpoint).is_some_and(|name| {
            let lane = (name, key.seq, key.occurrence, key.rank);
            let seen = self.seen.get(&lane);
            seen.is_some_and(|seen| seen.contains(key.token_idx))
        });
        if known {
            self.ignored += 1;
            return None;
        }
        self.observe_record(located)
    }

    /// Takes in a record; gives back its key if it takes part in a comparison: of several records of one key the first one
    /// does.
    pub fn observe_record(&mut self, located: &Located) -> Option<Key> {
        self.takes_part(&located.record)
            .then(|| Key::of(&located.record))
    }

    /// Takes in a line of a trace whose names are taken as they are; true for a record that takes part.
    pub(crate) fn observe_entry(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Record(located) => self.takes_part(&located.record),
            Entry::Malformed(_) => {
                self.malformed += 1;
                false
            }
        }
    }

    fn takes_part(&mut self, record: &Record) -> bool {
        if record.checkpoint == DROPPED {
            return false;
        }
        self.records += 1;
        if self.teams.len() < Self::TEAMS && !self.teams.contains(&record.team) {
            self.teams.insert(record.team.clone());
        }
        let sliced = record.shard.is_some_and(|shard| shard.count > 1);
        self.has_ranks |= sliced || record.rank.is_some_and(|rank| rank > 0);
        if record.checkpoint == "logits" {
            self.logits[LogitsForm::of(record) as usize] += 1;
        }
        self.note_key(record)
    }

    /// Counts the record's key; false where it was seen before.
    fn note_key(&mut self, record: &Record) -> bool {
        let Some(name) = self.names.id(&record.checkpoint) else {
            return true;
        };
        let position = record.token_idx;
        let new = self
            .seen
            .entry((name, record.seq, record.occurrence, rank_of(record)))
            .or_default()
            .insert(position);
        match self.by_name.get_mut(name.index()) {
            Some(survey) => {
                survey.records += u64::from(new);
                survey.first_position = survey.first_position.min(position);
                survey.last_position = survey.last_position.max(position);
            }
            None => self.by_name.push(NameSurvey {
                records: 1,
                first_position: position,
                last_position: position,
            }),
        }
        new
    }

    /// What all `logits` of which anything is known are; `Unknown` where they are of several kinds.
    pub fn logits_form(&self) -> LogitsForm {
        use LogitsForm::{Masked, Plain, Probabilities, Unknown};
        let mut seen = [Plain, Probabilities, Masked]
            .into_iter()
            .filter(|form| self.logits[*form as usize] > 0);
        match (seen.next(), seen.next()) {
            (Some(form), None) => form,
            _ => Unknown,
        }
    }

    /// What was seen of a name.
    pub fn name(&self, checkpoint: &str) -> Option<&NameSurvey> {
        self.names
            .find(checkpoint)
            .and_then(|id| self.by_name.get(id.index()))
    }

    /// All names in the order of their first records.
    pub fn names(&self) -> impl Iterator<Item = (&str, &NameSurvey)> {
        self.names.iter().zip(&self.by_name)
    }

    /// Records of the checkpoints that pass the filter, without token ids.
    pub fn records_of(&self, filter: &Filter) -> u64 {
        let wanted = |name: &str| name != TOKENS && filter.passes(name);
        let names = self.names().filter(|(name, _)| wanted(name));
        names.map(|(_, seen)| seen.records).sum()
    }

    /// Smallest and largest position of all records.
    pub fn positions(&self) -> Option<(i64, i64)> {
        let first = self.by_name.iter().map(|name| name.first_position).min()?;
        let last = self.by_name.iter().map(|name| name.last_position).max()?;
        Some((first, last))
    }
}

/// Why a record cannot be right.
///
/// An axis that is not the one that holds the tokens is no contradiction where a single other one can be.
pub fn contradiction(record: &Record) -> Option<String> {
    counts_contradict(record).or_else(|| tokens_contradict(record))
}

/// Why its tokens cannot lie where a record says.
pub(crate) fn tokens_contradict(record: &Record) -> Option<String> {
    let (n, axis) = (record.n_tokens, record.token_axis);
    if !record.has_n_tokens || n <= 1 || record.shape.get(axis) == Some(&n) {
        return None;
    }
    let fitting = record.shape.iter().filter(|dim| **dim == n).count();
    (fitting != 1)
        .then(|| format!("{n} tokens, but axis {axis} of its shape does not have that length"))
}

/// Why a record's numbers of elements cannot be right, wherever its tokens lie.
pub fn counts_contradict(record: &Record) -> Option<String> {
    let Some(elements) = element_count(&record.shape) else {
        return Some("its shape has more elements than 64 bits can count".to_owned());
    };
    let values = record.values.len() as u64;
    if values > elements {
        return Some(format!(
            "{values} values, but its shape has {elements} elements"
        ));
    }
    let stats = record.stats.filter(|stats| stats.n != elements)?;
    Some(format!(
        "statistics over {} elements, but its shape has {elements}",
        stats.n
    ))
}
