//! `S031`: the same record twice.
//!
//! **What.** Two records of one checkpoint, position, sequence, occurrence and rank; whether the file begins again somewhere.
//!
//! **Why it matters.** A comparison takes one of the two, and which one decides the result. Two runs appended to one file are the
//! usual reason.
//!
//! **Evidence wanted.** Equal keys; for "begins again" the key of the very first record.
//!
//! **What it can't tell.** Which of the two is the one that is meant. Past 2^16 names and 4096 scattered ranges of positions
//! a name, keys are not followed.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed, PerKey};
use super::spans::Spans;
use crate::align::{NameId, rank_of};

const CODE: &str = "S031";

/// Sequence, occurrence and rank.
type Row = (u64, u64, u64);

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    rows: PerKey<Row, Spans>,
    first: Option<(NameId, Row, i64)>,
    begins_again: Vec<u64>,
    names: Vec<NameId>,
    records: Records,
}

impl Duplicates {
    const MAX_ROWS: usize = 1 << 18;
    const MAX_NAMES: usize = 64;
}

impl Detector for Duplicates {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        let row = (record.seq, record.occurrence, rank_of(record));
        let Some(positions) = self.rows.of(seen.name, &row, Self::MAX_ROWS) else {
            return;
        };
        let key = (seen.name, row, record.token_idx);
        let first = *self.first.get_or_insert(key);
        if positions.insert(record.token_idx, record.token_idx) {
            return;
        }
        self.records.add(seen.line);
        if first == key && self.begins_again.len() < Records::FIRST {
            self.begins_again.push(seen.line);
        }
        if self.names.len() < Self::MAX_NAMES && !self.names.contains(&seen.name) {
            self.names.push(seen.name);
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        if self.records.count == 0 {
            return Vec::new();
        }
        let mut evidence = format!(
            "{} of {} have the checkpoint and position of an earlier one",
            counted(self.records.count, "record"),
            name_list(self.names.iter().map(|name| ended.names.name(*name))),
        );
        let cause = self.begins_again.first().map(|line| {
            evidence.push_str(&format!("; the file begins again at line {line}"));
            "two runs were appended to one file".to_owned()
        });
        vec![Finding {
            code: CODE,
            severity: Severity::Warning,
            title: "records that occur twice".to_owned(),
            evidence,
            cause,
            advice: "one file for each run; number records of one name in a pass by `occurrence`"
                .to_owned(),
            records: std::mem::take(&mut self.records),
        }]
    }
}
