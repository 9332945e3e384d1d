//! A map from one engine's names to the canonical ones.

use super::file::{MapError, parse};
use super::pattern::Pattern;
use super::rule::{Reading, Rule};
use orch_log::format::Record;
use std::collections::{HashMap, HashSet};

/// What a record of another vocabulary stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// The map does not know the name; it stays what it is.
    Unknown,
    /// The map knows that the name has no canonical counterpart.
    Ignored,
    /// One checkpoint, or several that were computed as one tensor.
    Targets(Vec<Target>),
}

/// A checkpoint that a record stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Canonical name.
    pub checkpoint: String,
    /// How the record is to be read.
    pub reading: Reading,
}

/// A map from one engine's names to the canonical ones, as a TOML file states it.
#[derive(Clone, Debug)]
pub struct NameMap {
    name: String,
    about: String,
    teams: Vec<String>,
    requires: Option<Pattern>,
    rules: Vec<Rule>,
    /// Rules for exactly one name, by that name.
    literal: HashMap<String, Vec<usize>>,
    /// All others, those that say most first.
    patterns: Vec<usize>,
}

impl NameMap {
    /// Reads the TOML text of a map; `source_name` is for messages.
    ///
    /// # Errors
    ///
    /// [`MapError`] names entry and reason.
    ///
    /// # Example
    ///
    /// ```
    /// use orch_log::format::parse_line;
    /// use parity::align::maps::{Mapped, NameMap};
    /// let map = NameMap::parse("[names]\n\"blk.{i}.attn_q\" = \"layer_{i}_q\"\n", "mine.toml").unwrap();
    /// let line = r#"{"checkpoint":"blk.3.attn_q","team":"t","token_idx":0,"dtype":"f32","shape":"[1]","values":[0.5]}"#;
    /// let record = parse_line(line.as_bytes()).unwrap().record;
    /// let Mapped::Targets(targets) = map.bound().map(&record) else { panic!() };
    /// assert_eq!(targets[0].checkpoint, "layer_3_q");
    /// ```
    pub fn parse(text: &str, source_name: &str) -> Result<Self, MapError> {
        parse(text, source_name)
    }

    pub(super) fn new(
        name: String,
        about: String,
        teams: Vec<String>,
        requires: Option<Pattern>,
        rules: Vec<Rule>,
    ) -> Self {
        let mut literal: HashMap<String, Vec<usize>> = HashMap::new();
        let mut patterns = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            if rule.pattern.is_literal() {
                literal.entry(rule.text.clone()).or_default().push(index);
            } else {
                patterns.push(index);
            }
        }
        // The sort is stable: alternatives of one pattern stay in the order in which they were written.
        patterns.sort_by_key(|index| std::cmp::Reverse(rules[*index].pattern.literal_len()));
        Self {
            name,
            about,
            teams,
            requires,
            rules,
            literal,
            patterns,
        }
    }

    /// Its name: that of a shipped map, or the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in one sentence; may be empty.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Teams whose traces use these names.
    pub fn teams(&self) -> &[String] {
        &self.teams
    }

    /// True where the names have what the map cannot do without, so that it may be chosen unasked.
    pub(super) fn may_be_chosen(&self, names: &[&str]) -> bool {
        self.requires
            .as_ref()
            .is_none_or(|pattern| names.iter().any(|name| pattern.matches(name).is_some()))
    }

    /// The map for a trace of which nothing is known yet.
    pub fn bound(&self) -> BoundMap<'_> {
        BoundMap {
            map: self,
            operations: HashSet::new(),
        }
    }

    /// The map for a trace that has these names from these operations.
    pub fn bound_to(&self, operations: HashSet<(String, String)>) -> BoundMap<'_> {
        BoundMap {
            map: self,
            operations,
        }
    }

    /// True where an entry speaks of the name, whatever the operation.
    pub fn knows(&self, name: &str) -> bool {
        self.literal.contains_key(name)
            || self
                .patterns
                .iter()
                .any(|index| self.rules[*index].pattern.matches(name).is_some())
    }
}

/// A map, and which operations each name of the trace comes from.
#[derive(Clone, Debug)]
pub struct BoundMap<'m> {
    map: &'m NameMap,
    operations: HashSet<(String, String)>,
}

impl BoundMap<'_> {
    /// The map itself.
    pub fn map_itself(&self) -> &NameMap {
        self.map
    }

    /// What the record stands for.
    pub fn map(&self, record: &Record) -> Mapped {
        let name = &record.checkpoint;
        let literal = self.map.literal.get(name).into_iter().flatten();
        let mut known = false;
        for index in literal.chain(&self.map.patterns) {
            let rule = &self.map.rules[*index];
            let Some(numbers) = rule.pattern.matches(name) else {
                continue;
            };
            known = true;
            let overruled = rule
                .unless_op
                .as_ref()
                .is_some_and(|op| self.operations.contains(&(name.clone(), op.clone())));
            if !rule.fits(record) || overruled {
                continue;
            }
            let targets: Vec<Target> = rule
                .targets
                .iter()
                .filter_map(|(template, reading)| {
                    Some(Target {
                        checkpoint: template.fill(&numbers)?,
                        reading: reading.clone(),
                    })
                })
                .collect();
            return if targets.is_empty() {
                Mapped::Ignored
            } else {
                Mapped::Targets(targets)
            };
        }
        // Entries for other operations of this name: what they leave over has no canonical name.
        if known {
            Mapped::Ignored
        } else {
            Mapped::Unknown
        }
    }
}
