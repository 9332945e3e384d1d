//! `S037`: records that contradict themselves.
//!
//! **What.** Shape, number of values, token count and statistics of a record that cannot all be true.
//!
//! **Why it matters.** One of them was taken from something else: another tensor's shape, statistics computed before the
//! values were overwritten.
//!
//! **Evidence wanted.** Arithmetic: more values than elements, a logged value outside the least and greatest of all, a mean
//! outside them, counts above the total; where all elements are logged, the statistics computed anew, to 1 %, unless squares
//! might overflow or underflow. A margin is left
//! for text with few digits.
//!
//! Statistics against values are an error: memory changed between the two. A wrong shape is a warning: the numbers may be
//! right.
//!
//! **What it can't tell.** Which of the two is wrong.

use super::finding::{Finding, Records, Severity, counted};
use super::observed::{Detector, Ended, Observed};
use crate::check::contradiction;
use orch_log::format::{Record, Stats};

const CODE: &str = "S037";

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Contradictions {
    shapes: Found,
    numbers: Found,
}

#[derive(Debug, Default)]
struct Found {
    records: Records,
    first: Option<String>,
}

impl Detector for Contradictions {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        if let Some(said) = contradiction(record) {
            self.shapes.add(seen, &said);
            return;
        }
        let said = record.stats.as_ref().and_then(|stats| {
            within_statistics(stats).or_else(|| against_values(record, stats, seen.half_step))
        });
        if let Some(said) = said {
            self.numbers.add(seen, &said);
        }
    }

    fn finish(&mut self, _: &Ended<'_>) -> Vec<Finding> {
        let shapes = self.shapes.finding(
            Severity::Warning,
            "shapes that contradict the record",
            "check what the logging call passes as shape and count; these records are not compared",
        );
        let numbers = self.numbers.finding(
            Severity::Error,
            "statistics that contradict the values",
            "something wrote to the tensor between the two, or they were taken of different tensors: \
             log after the operation has ended and before its buffer is used again",
        );
        numbers.into_iter().chain(shapes).collect()
    }
}

impl Found {
    fn add(&mut self, seen: &Observed<'_>, said: &str) {
        self.records.add(seen.line);
        let name = seen.record.checkpoint.escape_debug();
        self.first
            .get_or_insert_with(|| format!("line {}, `{name}`: {said}", seen.line));
    }

    fn finding(&mut self, severity: Severity, title: &str, advice: &str) -> Option<Finding> {
        let first = self.first.take()?;
        Some(Finding {
            code: CODE,
            severity,
            title: title.to_owned(),
            evidence: format!("{}; {first}", counted(self.records.count, "record")),
            cause: None,
            advice: advice.to_owned(),
            records: std::mem::take(&mut self.records),
        })
    }
}

/// What statistics alone give away.
fn within_statistics(stats: &Stats) -> Option<String> {
    let Stats {
        n,
        nan,
        inf,
        zero,
        min,
        max,
        mean,
        rms,
    } = *stats;
    let counted = nan.saturating_add(inf).saturating_add(zero);
    if counted > n {
        return Some(format!(
            "{nan} NaN, {inf} infinite and {zero} zero of {n} elements"
        ));
    }
    if min > max {
        return Some(format!(
            "the least element {min:e} is above the greatest {max:e}"
        ));
    }
    let slack = 1e-3 * min.abs().max(max.abs());
    if mean.is_finite() && (mean < min - slack || mean > max + slack) {
        return Some(format!(
            "the mean {mean:e} is not between {min:e} and {max:e}"
        ));
    }
    if squares_are_exact(stats)
        && (mean.abs() > rms * 1.001 + slack || rms > min.abs().max(max.abs()) + slack)
    {
        return Some(format!(
            "a root mean square of {rms:e} with mean {mean:e}, least {min:e} and greatest {max:e}"
        ));
    }
    None
}

/// True where squares neither overflow nor underflow, whichever type a logger adds them up in.
fn squares_are_exact(stats: &Stats) -> bool {
    (1e-15..1e15).contains(&stats.min.abs().max(stats.max.abs()))
}

/// What the logged values give away.
fn against_values(record: &Record, stats: &Stats, margin: f64) -> Option<String> {
    // Statistics of an f16 on a device may be those of the rounded or of the unrounded numbers.
    let margin = margin + 1e-3 * stats.min.abs().max(stats.max.abs());
    let finite = || {
        record
            .values
            .iter()
            .copied()
            .filter(|value| value.is_finite())
    };
    if let Some(value) =
        finite().find(|value| *value < stats.min - margin || *value > stats.max + margin)
    {
        return Some(format!(
            "the value {value:e} is outside of the statistics, {:e} to {:e}",
            stats.min, stats.max
        ));
    }
    let count = |wanted: fn(&&f64) -> bool| record.values.iter().filter(wanted).count() as u64;
    let (nan, inf) = (
        count(|value| value.is_nan()),
        count(|value| value.is_infinite()),
    );
    if nan > stats.nan || inf > stats.inf {
        return Some(format!(
            "{nan} NaN and {inf} infinite values are logged, the statistics have {} and {}",
            stats.nan, stats.inf
        ));
    }
    if record.len() == Some(record.values.len())
        && !record.values.is_empty()
        && nan + inf < stats.n
        && squares_are_exact(stats)
    {
        let n = finite().count() as f64;
        let mean = finite().sum::<f64>() / n;
        let rms = (finite().map(|value| value * value).sum::<f64>() / n).sqrt();
        let slack = margin + 0.01 * rms;
        if !((mean - stats.mean).abs() <= slack && (rms - stats.rms).abs() <= slack) {
            return Some(format!(
                "all elements are logged, with mean {mean:e} and root mean square {rms:e}; the statistics say {:e} and {:e}",
                stats.mean, stats.rms
            ));
        }
    }
    None
}
