//! `S007`: rows that overlap, because a stride was ignored.
//!
//! **What.** The numbers of one token are those of the token before, moved by a few elements.
//!
//! **Why it matters.** A row was taken at `data + token * 1` (or another wrong stride) instead of `data + token * width`. Every row
//! begins with true numbers, and only the comparison with another engine looks bad.
//!
//! **Evidence wanted.** A canonical checkpoint, three neighbouring pairs of single-token records, each moved by the same number
//! of elements, with at least four different values in what overlaps.
//!
//! **What it can't tell.** Strides that leave no overlap among the logged values; transposes; views whose rows come from
//! another tensor of a fused buffer (the numbers then stand under another name, at another position). Windows that
//! rightly slide (a convolution's state) have no canonical name.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed, PerName};
use super::repeated::distinct;

const CODE: &str = "S007";

/// Pairs that it takes.
const PAIRS: u64 = 3;
/// Different values in the overlap.
const DISTINCT: usize = 4;
/// Values that are kept of the record before.
const KEPT: usize = 16;

#[derive(Debug, Default)]
struct Last {
    values: Vec<f64>,
    seq: u64,
    shift: usize,
    pairs: Records,
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    names: PerName<Last>,
}

impl Detector for Overlap {
    fn observe(&mut self, seen: &Observed<'_>) {
        let (Some(_), Some(values)) = (seen.place, seen.floats()) else {
            return;
        };
        if !seen.single_token() {
            return;
        }
        let values = &values[..values.len().min(KEPT)];
        let last = self.names.of(seen.name);
        if last.seq == seen.record.seq
            && let Some(shift) = shift_between(&last.values, values)
        {
            if last.shift != shift {
                (last.shift, last.pairs) = (shift, Records::default());
            }
            last.pairs.add(seen.line);
        }
        last.seq = seen.record.seq;
        last.values.clear();
        last.values.extend_from_slice(values);
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let hit: Vec<(&str, &Last)> = self
            .names
            .iter(ended.names)
            .filter(|(_, last)| last.pairs.count >= PAIRS)
            .collect();
        let Some((_, first)) = hit.first() else {
            return Vec::new();
        };
        let mut records = Records::default();
        hit.iter().for_each(|(_, last)| records.extend(&last.pairs));
        vec![Finding {
            code: CODE,
            severity: Severity::Error,
            title: "rows of neighbouring tokens overlap".to_owned(),
            evidence: format!(
                "{} of {} are the record before, moved by {} elements",
                counted(records.count, "record"),
                name_list(hit.iter().map(|(name, _)| *name)),
                first.shift,
            ),
            cause: Some(format!(
                "the token stride was ignored: rows were read {} elements apart instead of one row apart",
                first.shift
            )),
            advice: "pass the view's strides to the logging call, or make the tensor contiguous before it".to_owned(),
            records,
        }]
    }
}

/// By how many elements `now` is `before`, moved; `None` where it is not.
fn shift_between(before: &[f64], now: &[f64]) -> Option<usize> {
    if before.len() != now.len() || before.len() < 8 || before == now {
        return None;
    }
    let shift = (1..=now.len() / 2).find(|shift| before[*shift..] == now[..now.len() - shift])?;
    (distinct(&now[..now.len() - shift]) >= DISTINCT).then_some(shift)
}
