//! What passes by while a trace is read: counts, positions, damage.

use super::finding::{Code, Findings, Side};
use super::intervals::Intervals;
use crate::align::{Key, NameId, Names};
use crate::tensor::element_count;
use crate::trace::{Located, Malformed};
use orch_log::format::{DROPPED, Record};
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

/// Collects what is to be known of one trace in one pass.
///
/// Its memory grows with the number of checkpoint names and with gaps in the positions, not with the
/// number of records.
#[derive(Debug)]
pub struct Survey {
    side: Side,
    /// Records, without those that only report on the logger itself.
    pub records: u64,
    /// Lines that are not records.
    pub malformed: u64,
    /// Records whose name is known to be no checkpoint, or one that another record already is.
    pub ignored: u64,
    /// Teams, at most [`Survey::TEAMS`].
    pub teams: BTreeSet<String>,
    /// What was found so far.
    pub findings: Findings,
    names: Names,
    by_name: Vec<NameSurvey>,
    seen: HashMap<(NameId, u64, u64, u64), Intervals>,
    lenient: bool,
}

impl Survey {
    /// How many different teams are remembered.
    pub const TEAMS: usize = 8;

    /// Nothing seen yet.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            records: 0,
            malformed: 0,
            ignored: 0,
            teams: BTreeSet::new(),
            findings: Findings::default(),
            names: Names::default(),
            by_name: Vec::new(),
            seen: HashMap::new(),
            lenient: false,
        }
    }

    /// Takes in a line that is not a record.
    pub fn observe_malformed(&mut self, malformed: &Malformed) {
        self.malformed += 1;
        let code = if malformed.half_written {
            Code::HalfWrittenLine
        } else {
            Code::MalformedLine
        };
        let Malformed {
            line,
            column,
            message,
            ..
        } = malformed;
        self.findings.add(code, self.side, || {
            format!("line {line}, column {column}: {message}")
        });
    }

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

    /// Takes in a record; gives back its key if it takes part in a comparison.
    pub fn observe_record(&mut self, located: &Located) -> Option<Key> {
        let record = &located.record;
        let line = located.line;
        if record.checkpoint == DROPPED {
            let lost = record.values.first().copied().unwrap_or(f64::NAN);
            self.findings.add_with_help(
                Code::DroppedRecords,
                self.side,
                format!("line {line}: the logger lost {lost} records"),
                "disk full, or `ORCH_LOG_MAX_BYTES` reached",
            );
            return None;
        }
        self.records += 1;
        if located.lenient_numbers && !self.lenient {
            self.lenient = true;
            self.findings.add(Code::LenientNumbers, self.side, || {
                format!("line {line}: `null` or bare `NaN`/`inf` read as a number; the format has \"NaN\", \"Infinity\"")
            });
        }
        if self.teams.len() < Self::TEAMS && !self.teams.contains(&record.team) {
            self.teams.insert(record.team.clone());
        }
        let key = Key::of(record);
        let new = self.note_key(&key);
        if !new {
            self.findings.add_with_help(
                Code::DuplicateKey,
                self.side,
                format!("line {line}: a second record of {key}; the first one is compared"),
                "two runs appended to one file, or a name logged twice a step without `occurrence`",
            );
            return None;
        }
        if let Some(contradiction) = contradiction(record) {
            self.findings.add(Code::InconsistentRecord, self.side, || {
                format!("line {line}: {key}: {contradiction}")
            });
        }
        Some(key)
    }

    /// Counts the key; false where it was seen before.
    fn note_key(&mut self, key: &Key) -> bool {
        let Some(name) = self.names.id(&key.checkpoint) else {
            self.findings.add_with_help(
                Code::TooManyNames,
                self.side,
                format!(
                    "more than {} checkpoint names; further ones are not checked for duplicates",
                    Names::MAX
                ),
                "put positions and layers into their fields instead of the name",
            );
            return true;
        };
        let position = key.token_idx;
        let new = self
            .seen
            .entry((name, key.seq, key.occurrence, key.rank))
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

    /// Smallest and largest position of all records.
    pub fn positions(&self) -> Option<(i64, i64)> {
        let first = self.by_name.iter().map(|name| name.first_position).min()?;
        let last = self.by_name.iter().map(|name| name.last_position).max()?;
        Some((first, last))
    }

    /// Adds what can only be said at the end of the file.
    pub fn finish(&mut self) {
        if self.records == 0 {
            let malformed = self.malformed;
            let example = if malformed == 0 {
                "the file is empty".to_owned()
            } else {
                format!("none of its {malformed} lines is a record")
            };
            self.findings.add_with_help(
                Code::NoRecords,
                self.side,
                example,
                "was the engine built with its logging feature, and `ORCH_LOG_FILE` set?",
            );
        }
        if self.teams.len() > 1 {
            let teams: Vec<&str> = self.teams.iter().map(String::as_str).collect();
            self.findings.add_with_help(
                Code::MixedTeams,
                self.side,
                format!("records of several teams in one file: {}", teams.join(", ")),
                "let each engine write its own file",
            );
        }
    }
}

/// Why a record cannot be right.
pub fn contradiction(record: &Record) -> Option<String> {
    counts_contradict(record).or_else(|| {
        let axis = record.shape.get(record.token_axis);
        (record.has_n_tokens && record.n_tokens > 1 && axis != Some(&record.n_tokens)).then(|| {
            format!(
                "{} tokens, but axis {} of its shape does not have that length",
                record.n_tokens, record.token_axis
            )
        })
    })
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
