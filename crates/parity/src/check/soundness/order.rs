//! `S034`: records out of order.
//!
//! **What.** A position or a step that goes back within one checkpoint, sequence and rank; time that goes back by more than a second.
//!
//! **Why it matters.** Records that were buffered and written by several threads, or files that were joined by hand: a step's
//! inputs may then be another run's.
//!
//! **Evidence wanted.** A new key (a repeated one is `S031`) with a smaller number than the one before.
//!
//! **What it can't tell.** Which order is the right one.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed};
use crate::align::NameId;
use foldhash::fast::RandomState;
use std::collections::HashMap;

const CODE: &str = "S034";

#[derive(Debug, Default)]
struct Last {
    position: i64,
    step: u64,
    seen: bool,
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: HashMap<(NameId, u64, u64, u64), Last, RandomState>,
    names: Vec<NameId>,
    records: Records,
    last_time: HashMap<u64, u64>,
    back_in_time: Records,
}

impl Order {
    const MAX_ROWS: usize = 1 << 18;
    const MAX_NAMES: usize = 64;
    const SLACK_NS: u64 = 1_000_000_000;
}

impl Detector for Order {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        let rank = record
            .rank
            .or(record.shard.map(|shard| shard.rank))
            .unwrap_or(0);
        if let Some(time) = record.ts_ns
            && (self.last_time.len() < 1024 || self.last_time.contains_key(&rank))
        {
            let last = self.last_time.entry(rank).or_insert(time);
            if time.saturating_add(Self::SLACK_NS) < *last {
                self.back_in_time.add(seen.line);
            }
            *last = time;
        }
        let row = (seen.name, record.seq, record.occurrence, rank);
        if self.last.len() >= Self::MAX_ROWS && !self.last.contains_key(&row) {
            return;
        }
        let last = self.last.entry(row).or_default();
        let step = record.step.unwrap_or(last.step);
        if last.seen && (record.token_idx < last.position || step < last.step) {
            self.records.add(seen.line);
            if self.names.len() < Self::MAX_NAMES && !self.names.contains(&seen.name) {
                self.names.push(seen.name);
            }
        }
        *last = Last {
            position: record.token_idx,
            step,
            seen: true,
        };
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let finding = |title: &str, evidence: String, records: Records| Finding {
            code: CODE,
            severity: Severity::Warning,
            title: title.to_owned(),
            evidence,
            cause: None,
            advice: "one record is one write when it is logged; don't sort or join files by hand"
                .to_owned(),
            records,
        };
        let mut findings = Vec::new();
        if self.records.count > 0 {
            let evidence = format!(
                "position or step goes back in {} of {}",
                counted(self.records.count, "record"),
                name_list(self.names.iter().map(|name| ended.names.name(*name)))
            );
            findings.push(finding(
                "records out of order",
                evidence,
                std::mem::take(&mut self.records),
            ));
        }
        if self.back_in_time.count > 0 {
            let evidence = format!(
                "the clock goes back by more than a second at {}",
                counted(self.back_in_time.count, "record")
            );
            findings.push(finding(
                "time goes back",
                evidence,
                std::mem::take(&mut self.back_in_time),
            ));
        }
        findings
    }
}
