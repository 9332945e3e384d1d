//! A comparison held against a baseline.

use super::file::Baseline;
use crate::exit_code;
use crate::report::Number;
use crate::report::v1::{CheckpointSummary, Report};
use crate::report::words::{counted, is_harmless, number, sentence};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// How many times the baseline's error is still its noise.
///
/// # Source
///
/// `docs/regression-tests.md`: thread counts changed not a bit, another order of additions in every product 4.0 to 4.5 times.
const NOISE: f64 = 4.0;

/// The part of a checkpoint's limit below which an error is not worth a word, whatever the baseline's was: errors of a few
/// roundings, and identical numbers that no longer are.
const OF_LIMIT: f64 = 0.1;

/// The same where bands decide: some roundings of binary32.
const WITHOUT_LIMIT: f64 = 1e-6;

/// A checkpoint whose error is not the baseline's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Relative RMSE of the baseline.
    pub baseline: Number,
    /// Relative RMSE now.
    pub now: Number,
    /// The largest that would have passed.
    pub allowed: Number,
}

/// What became worse, what better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// 0 passed, 1 worse, 3 not comparable.
    pub exit_code: u8,
    /// `passed`, `worse` or `not comparable`.
    pub outcome: String,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// Checkpoints that became worse, in dataflow order.
    pub worse: Vec<Change>,
    /// Checkpoints that became better by more than noise.
    pub better: Vec<Change>,
    /// Checkpoints of the baseline that were not compared.
    pub gone: Vec<String>,
    /// Checkpoints that the baseline does not know.
    pub new: Vec<String>,
    /// True where saving the baseline anew would make the gate stricter or wider.
    pub renew: bool,
    /// The verdict of the comparison.
    pub verdict: String,
}

/// Holds a comparison against a baseline.
pub fn gate(baseline: &Baseline, report: &Report) -> Gate {
    let mut result = Gate {
        exit_code: exit_code::AGREES,
        outcome: "passed".to_owned(),
        reasons: Vec::new(),
        worse: Vec::new(),
        better: Vec::new(),
        gone: Vec::new(),
        new: Vec::new(),
        renew: false,
        verdict: report.verdict.clone(),
    };
    if let Some(reason) = not_comparable(baseline, report) {
        result.exit_code = exit_code::NOT_COMPARABLE;
        "not comparable".clone_into(&mut result.outcome);
        result.reasons.push(reason);
        return result;
    }
    for row in &report.checkpoints {
        let Some(before) = baseline.checkpoints.get(&row.checkpoint).copied() else {
            result.new.push(row.checkpoint.clone());
            continue;
        };
        let now = row.worst_relative_rmse.0;
        let unremarkable = unremarkable(row);
        let allowed = (NOISE * before).max(unremarkable);
        let change = || Change {
            checkpoint: row.checkpoint.clone(),
            baseline: Number(before),
            now: Number(now),
            allowed: Number(allowed),
        };
        // A NaN is not less than anything.
        if now.is_nan() || now > allowed {
            result.worse.push(change());
        } else if before > unremarkable && now * NOISE < before {
            result.better.push(change());
        }
    }
    let compared = |name: &String| report.checkpoints.iter().any(|row| row.checkpoint == *name);
    result.gone = baseline
        .checkpoints
        .keys()
        .filter(|name| !compared(name))
        .cloned()
        .collect();
    conclude(&mut result, baseline, report);
    result
}

fn not_comparable(baseline: &Baseline, report: &Report) -> Option<String> {
    if report.exit_code == exit_code::NOT_COMPARABLE {
        let reason = report.reasons.first().map_or("", String::as_str);
        return Some(format!("the two traces are not comparable: {reason}"));
    }
    let model = report.reference.model.as_ref()?;
    let differs = |what: &str, before: Option<String>, now: Option<String>| {
        let (before, now) = before.zip(now)?;
        (before != now).then(|| {
            format!("the baseline is of a model with {before} {what}, this one has {now}: save another baseline for it")
        })
    };
    let layers = |layers: Option<u64>| layers.map(|layers| layers.to_string());
    differs("weights", baseline.weights.clone(), model.weights.clone())
        .or_else(|| differs("layers", layers(baseline.layers), layers(model.layers)))
}

/// The error up to which a checkpoint is not looked at.
fn unremarkable(row: &CheckpointSummary) -> f64 {
    row.max_nmse
        .map_or(WITHOUT_LIMIT, |limit| OF_LIMIT * limit.0.sqrt())
}

fn conclude(result: &mut Gate, baseline: &Baseline, report: &Report) {
    let newly_diverged =
        report.exit_code == exit_code::DIVERGED && baseline.verdict != report.verdict;
    if let Some(first) = result.worse.first() {
        result.reasons.push(format!(
            "{} became worse than the baseline's noise, the first in dataflow order is {}: relative RMSE {}, was {}, \
             allowed {}",
            counted(result.worse.len() as u64, "checkpoint"),
            first.checkpoint,
            number(first.now.0),
            number(first.baseline.0),
            number(first.allowed.0)
        ));
    }
    if newly_diverged {
        let reason = report.reasons.first().map_or("", String::as_str);
        result.reasons.push(format!(
            "the verdict was `{}` and is `{}` now: {reason}",
            baseline.verdict, report.verdict
        ));
    }
    if let Some(first) = result.gone.first() {
        result.reasons.push(format!(
            "{} of the baseline not compared any more, such as {first}: log them again, or renew the baseline",
            counted(result.gone.len() as u64, "checkpoint")
        ));
    }
    if !result.reasons.is_empty() {
        result.exit_code = exit_code::DIVERGED;
        "worse".clone_into(&mut result.outcome);
    }
    if !result.better.is_empty() {
        result.reasons.push(format!(
            "{} became better by more than noise: renew the baseline, or the gate lets that much be lost again",
            counted(result.better.len() as u64, "checkpoint")
        ));
    }
    if !result.new.is_empty() {
        result.reasons.push(format!(
            "{} not in the baseline and not held against anything: renew it",
            counted(result.new.len() as u64, "checkpoint")
        ));
    }
    result.renew = result.exit_code == exit_code::AGREES
        && !(result.better.is_empty() && result.new.is_empty());
    if result.reasons.is_empty() {
        result.reasons.push(format!(
            "all {} are within the baseline's noise",
            counted(report.checkpoints.len() as u64, "checkpoint")
        ));
    }
}

/// Rows of a list.
const ROWS: usize = 12;

impl Gate {
    /// The result for a terminal; plain text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}\n", self.outcome.to_uppercase());
        for reason in &self.reasons {
            let _ = writeln!(text, "  {}", visible(&sentence(reason), 600));
        }
        for (title, changes) in [("Worse", &self.worse), ("Better", &self.better)] {
            if changes.is_empty() {
                continue;
            }
            let _ = writeln!(
                text,
                "\n{title:<34}{:>10}{:>10}{:>10}",
                "baseline", "now", "allowed"
            );
            for change in changes.iter().take(ROWS) {
                let _ = writeln!(
                    text,
                    "  {:<32}{:>10}{:>10}{:>10}",
                    visible(&change.checkpoint, 31),
                    number(change.baseline.0),
                    number(change.now.0),
                    number(change.allowed.0)
                );
            }
            if changes.len() > ROWS {
                let _ = writeln!(text, "  and {} more", changes.len() - ROWS);
            }
        }
        if self.renew {
            text.push_str("\nrenew: parity baseline save REF CAND -o FILE\n");
        }
        let _ = writeln!(
            text,
            "\ngate: {} (exit code {})",
            self.outcome, self.exit_code
        );
        text
    }
}

fn visible(name: &str, most: usize) -> String {
    let safe: String = name
        .chars()
        .take(4 * most)
        .flat_map(|c| {
            if is_harmless(c) {
                vec![c]
            } else {
                c.escape_default().collect()
            }
        })
        .collect();
    if safe.chars().count() <= most {
        return safe;
    }
    safe.chars().take(most - 1).chain(['~']).collect()
}
