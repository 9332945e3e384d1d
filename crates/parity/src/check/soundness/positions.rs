//! `S032`: positions that a checkpoint lacks.
//!
//! **What.** A canonical checkpoint without records at positions where others have single-token records, although it has
//! records before and after.
//!
//! **Why it matters.** Lost lines and skipped calls: the comparison would pass on what is left.
//!
//! **Evidence wanted.** Positions of decode passes, since a prefill may rightly keep the last row only (the last layer, the
//! logits). A gap that all checkpoints share is only an info: a filter on tokens makes it.
//!
//! **What it can't tell.** Positions that are missing before a checkpoint's first or after its last record.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed, PerName};
use super::spans::Spans;
use crate::align::Place;
use std::collections::BTreeMap;

const CODE: &str = "S032";

/// The detector: for each sequence the positions of each name.
#[derive(Debug, Default)]
pub(super) struct Positions {
    sequences: BTreeMap<u64, Sequence>,
}

#[derive(Debug, Default)]
struct Sequence {
    /// Positions of single-token records of any canonical checkpoint, and of all records.
    decoded: Spans,
    all: Spans,
    names: PerName<Spans>,
}

impl Positions {
    /// Sequences of a batch that are followed.
    const MAX_SEQUENCES: usize = 256;
}

impl Detector for Positions {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        if seen.place.is_none_or(|place| place == Place::Tokens) {
            return;
        }
        if self.sequences.len() >= Self::MAX_SEQUENCES && !self.sequences.contains_key(&record.seq)
        {
            return;
        }
        let sequence = self.sequences.entry(record.seq).or_default();
        let more = i64::try_from(seen.n_tokens().saturating_sub(1)).unwrap_or(i64::MAX);
        let (first, last) = (record.token_idx, record.token_idx.saturating_add(more));
        sequence.names.of(seen.name).insert(first, last);
        sequence.all.insert(first, last);
        if seen.single_token() {
            sequence.decoded.insert(first, last);
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let mut lacking: Vec<(&str, Spans)> = Vec::new();
        let mut shared = Spans::default();
        for sequence in self.sequences.values() {
            for pair in sequence.all.ranges().windows(2) {
                shared.insert(pair[0].1 + 1, pair[1].0 - 1);
            }
            for (name, spans) in sequence.names.iter(ended.names) {
                let Some(bounds) = spans.bounds() else {
                    continue;
                };
                let missing = sequence.decoded.without(spans, bounds);
                if !missing.ranges().is_empty() {
                    lacking.push((name, missing));
                }
            }
        }
        let mut findings = Vec::new();
        if let Some((name, missing)) = lacking.first() {
            let evidence = format!(
                "{} lack positions that others have: {}; {} lacks {}",
                counted(lacking.len() as u64, "checkpoint"),
                name_list(lacking.iter().map(|(name, _)| *name)),
                name_list(std::iter::once(*name)),
                missing.text(),
            );
            findings.push(finding(
                Severity::Warning,
                "positions are missing",
                evidence,
                "lines were lost or the logging call was skipped in these passes; what is missing is not compared",
            ));
        }
        if !shared.ranges().is_empty() {
            findings.push(finding(
                Severity::Info,
                "gaps in the positions",
                format!("no checkpoint has the positions {}", shared.text()),
                "a filter on tokens (`ORCH_LOG_TOKENS`) makes such gaps; without one, passes were not logged",
            ));
        }
        findings
    }
}

fn finding(severity: Severity, title: &str, evidence: String, advice: &str) -> Finding {
    Finding {
        code: CODE,
        severity,
        title: title.to_owned(),
        evidence,
        cause: None,
        advice: advice.to_owned(),
        records: Records::default(),
    }
}
