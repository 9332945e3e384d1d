//! `S038`: fewer values than the others have.
//!
//! **What.** Records with fewer logged values than nearly all, although their shape has more elements.
//!
//! **Why it matters.** The count came from somewhere else, or a line was pieced together.
//!
//! **Evidence wanted.** 90 % of at least 20 records of a team log the same number of values.
//!
//! **What it can't tell.** Traces whose records rightly differ: several settings of `ORCH_LOG_VALUES` in one file.

use super::finding::{Finding, Records, Severity, counted};
use super::observed::{Detector, Ended, Observed};
use std::collections::BTreeMap;

const CODE: &str = "S038";

/// The detector.
#[derive(Debug, Default)]
pub(super) struct CutShort {
    by_count: BTreeMap<usize, Records>,
    total: u64,
}

impl CutShort {
    /// Lengths that are told apart.
    const MAX: usize = 64;
    const MIN_RECORDS: u64 = 20;
}

impl Detector for CutShort {
    fn observe(&mut self, seen: &Observed<'_>) {
        let Some(values) = seen.floats() else { return };
        // A tensor that is logged whole has as many values as it has.
        if seen
            .record
            .len()
            .is_none_or(|elements| elements <= values.len())
        {
            return;
        }
        self.total += 1;
        if self.by_count.len() < Self::MAX || self.by_count.contains_key(&values.len()) {
            self.by_count
                .entry(values.len())
                .or_default()
                .add(seen.line);
        }
    }

    fn finish(&mut self, _: &Ended<'_>) -> Vec<Finding> {
        let Some((usual, most)) = self
            .by_count
            .iter()
            .max_by_key(|(_, records)| records.count)
        else {
            return Vec::new();
        };
        if self.total < Self::MIN_RECORDS || most.count * 10 < self.total * 9 {
            return Vec::new();
        }
        let mut records = Records::default();
        self.by_count
            .range(..usual)
            .for_each(|(_, of)| records.extend(of));
        if records.count == 0 {
            return Vec::new();
        }
        vec![Finding {
            code: CODE,
            severity: Severity::Warning,
            title: "values are cut short".to_owned(),
            evidence: format!(
                "{} have fewer than the {usual} values of the others, although their shapes have more elements",
                counted(records.count, "record")
            ),
            cause: None,
            advice: "check the count that is passed to the logging call".to_owned(),
            records,
        }]
    }
}
