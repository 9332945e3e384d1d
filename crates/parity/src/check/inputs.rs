//! Did both engines see the same tokens, and up to where?

use super::finding::{Code, Findings, Side};
use crate::error::Error;
use crate::trace::{Entry, RunInfo, Trace};
use orch_log::format::{Record, TOKENS};
use std::collections::BTreeMap;

/// The token ids that a trace's engine was fed with, by sequence and position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// For each sequence the positions, ascending, with their ids.
    sequences: BTreeMap<u64, BTreeMap<i64, i64>>,
}

/// Reads the `tokens` records of a trace, or else the token list of its run file.
///
/// Only these lines are parsed; the rest of the file is passed over.
///
/// # Errors
///
/// When the trace cannot be read.
pub fn read_tokens(trace: &Trace) -> Result<Inputs, Error> {
    let finder = memchr::memmem::Finder::new(b"\"tokens\"");
    let mut inputs = Inputs::default();
    let mut records = trace.records()?;
    while let Some(entry) = records.next_with(&finder)? {
        if let Entry::Record(located) = entry
            && located.record.checkpoint == TOKENS
        {
            inputs.add(&located.record);
        }
    }
    if inputs.sequences.is_empty()
        && let Some(info) = trace.run().info()
    {
        inputs.add_run(info);
    }
    Ok(inputs)
}

impl Inputs {
    /// Takes in one `tokens` record; where a position occurs twice, the first one stays.
    pub fn add(&mut self, record: &Record) {
        let sequence = self.sequences.entry(record.seq).or_default();
        for (position, id) in (record.token_idx..).zip(&record.values) {
            sequence.entry(position).or_insert(*id as i64);
        }
    }

    fn add_run(&mut self, info: &RunInfo) {
        if let Some(tokens) = info.tokens.as_ref().filter(|tokens| !tokens.is_empty()) {
            self.sequences
                .insert(0, (0..).zip(tokens.iter().copied()).collect());
        }
    }

    /// Adds `offset` to every position.
    pub fn shifted(self, offset: i64) -> Self {
        let shift = |ids: BTreeMap<i64, i64>| {
            ids.into_iter()
                .map(|(position, id)| (position.saturating_add(offset), id))
                .collect()
        };
        Self {
            sequences: self
                .sequences
                .into_iter()
                .map(|(seq, ids)| (seq, shift(ids)))
                .collect(),
        }
    }

    /// What has to be added to the positions of `other` so that its ids are these, and how many then are: of sequence 0, at
    /// least 3, and all that both then have.
    pub fn shift_of(&self, other: &Self) -> Option<(i64, usize)> {
        let (ours, theirs) = (self.sequences.get(&0)?, other.sequences.get(&0)?);
        let span = |ids: &BTreeMap<i64, i64>| Some((*ids.keys().next()?, *ids.keys().next_back()?));
        let ((first, last), (their_first, their_last)) = (span(ours)?, span(theirs)?);
        // A prompt is a few thousand positions at most; further apart nobody counts by mistake.
        let range = (first.saturating_sub(their_last)).max(-MAX_SHIFT)
            ..=(last.saturating_sub(their_first)).min(MAX_SHIFT);
        let mut found: Option<(i64, usize)> = None;
        for offset in range.filter(|offset| *offset != 0) {
            let mut equal = 0;
            let differs = theirs.iter().any(|(position, id)| {
                match ours.get(&position.saturating_add(offset)) {
                    Some(ours) if ours == id => {
                        equal += 1;
                        false
                    }
                    Some(_) => true,
                    None => false,
                }
            });
            if !differs && equal >= 3 && found.is_none_or(|(_, most)| equal > most) {
                found = Some((offset, equal));
            }
        }
        found
    }

    fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }
}

/// The largest distance of positions that is tried.
const MAX_SHIFT: i64 = 1 << 12;

/// How the inputs of two runs relate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SameInput {
    /// Positions whose ids are known on both sides and equal.
    pub equal_positions: u64,
    /// For each sequence that parts: the first position with different ids, and the two ids.
    pub differences: BTreeMap<u64, (i64, [i64; 2])>,
}

impl SameInput {
    /// Compares position by position where both sides have an id.
    pub fn of(reference: &Inputs, candidate: &Inputs) -> Self {
        let mut same = Self::default();
        for (seq, ids) in &reference.sequences {
            let Some(others) = candidate.sequences.get(seq) else {
                continue;
            };
            for (position, id) in ids {
                match others.get(position) {
                    Some(other) if other == id => same.equal_positions += 1,
                    Some(other) => {
                        same.differences.insert(*seq, (*position, [*id, *other]));
                        break;
                    }
                    None => {}
                }
            }
        }
        same
    }

    /// True where at least one position is known to be the same and none to differ.
    pub fn is_proven(&self) -> bool {
        self.differences.is_empty() && self.equal_positions > 0
    }

    /// The first position of a sequence from which on the two runs computed different functions.
    pub fn comparable_before(&self, seq: u64) -> Option<i64> {
        self.differences.get(&seq).map(|(position, _)| *position)
    }

    /// What is to be said about it.
    pub fn findings(&self, reference: &Inputs, candidate: &Inputs) -> Findings {
        let mut findings = Findings::default();
        for (seq, (position, [a, b])) in &self.differences {
            let sequence = if *seq == 0 {
                String::new()
            } else {
                format!(" of sequence {seq}")
            };
            findings.add_with_help(
                Code::DifferentTokens,
                Side::Both,
                format!(
                    "the token at position {position}{sequence} is {a} in the reference and {b} in the candidate: \
                     from there on the engines compute different functions"
                ),
                "feed the candidate with the reference's tokens (`--force-tokens`); both then compute the same function",
            );
        }
        if self.differences.is_empty() && self.equal_positions == 0 {
            let missing = match (reference.is_empty(), candidate.is_empty()) {
                (true, true) => "neither trace says which tokens its engine was fed with",
                (true, false) => "the reference does not say which tokens its engine was fed with",
                (false, true) => "the candidate does not say which tokens its engine was fed with",
                (false, false) => "the token ids of the two traces cover no common position",
            };
            findings.add_with_help(
                Code::InputsUnproven,
                Side::Both,
                missing.to_owned(),
                "log the checkpoint `tokens` (ids, i32) once a forward pass, first of all",
            );
        }
        findings
    }
}
