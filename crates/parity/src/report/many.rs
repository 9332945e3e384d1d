//! Several candidates: what their overview says of each, and its text.

use super::v1::{Many, Report};
use super::words;
use std::fmt::Write;

/// One candidate in the overview.
pub(super) struct Row<'a> {
    pub(super) candidate: &'a str,
    pub(super) verdict: &'a str,
    pub(super) compared: String,
    pub(super) missing: String,
    /// Largest relative RMSE of a checkpoint.
    pub(super) largest: Option<String>,
    /// Where it first diverges.
    pub(super) first: Option<(&'a str, i64)>,
}

/// In the order in which the candidates were named.
pub(super) fn rows(many: &Many) -> Vec<Row<'_>> {
    many.reports.iter().map(row).collect()
}

fn row(report: &Report) -> Row<'_> {
    let largest = report
        .checkpoints
        .iter()
        .map(|checkpoint| checkpoint.worst_relative_rmse.0)
        .fold(f64::NAN, f64::max);
    Row {
        candidate: &report.candidate.path,
        verdict: &report.verdict,
        compared: words::count(report.coverage.compared),
        missing: words::count(report.coverage.missing_in_candidate.records),
        largest: (!largest.is_nan()).then(|| words::number(largest)),
        first: report
            .first_divergence
            .as_ref()
            .map(|first| (first.checkpoint.as_str(), first.token_idx)),
    }
}

impl Many {
    /// One line for each candidate, then why, then the verdict; plain text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        if let Some(report) = self.reports.first() {
            let _ = writeln!(text, "reference {}\n", report.reference.path.escape_debug());
        }
        let rows: Vec<(String, Row<'_>)> = rows(self)
            .into_iter()
            .map(|row| (row.candidate.escape_debug().to_string(), row))
            .collect();
        let longest = rows.iter().map(|(name, _)| name.chars().count()).max();
        let width = longest.unwrap_or(0).max(9);
        let _ = writeln!(
            text,
            "{:<width$}  {:<14}  {:>9}  {:>9}  {:>9}  first divergence",
            "candidate", "verdict", "compared", "missing", "largest"
        );
        for (name, row) in &rows {
            let first = row
                .first
                .map_or_else(String::new, |(checkpoint, position)| {
                    format!("{} at position {position}", checkpoint.escape_debug())
                });
            let line = format!(
                "{name:<width$}  {:<14}  {:>9}  {:>9}  {:>9}  {first}",
                row.verdict,
                row.compared,
                row.missing,
                row.largest.as_deref().unwrap_or("-"),
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
        for ((name, _), report) in rows.iter().zip(&self.reports) {
            if let Some(reason) = report.reasons.first() {
                let _ = writeln!(text, "{name}: {reason}");
            }
        }
        let _ = writeln!(text, "\nlargest: largest relative RMSE of a checkpoint");
        let _ = writeln!(
            text,
            "verdict: {} (exit code {})",
            self.verdict, self.exit_code
        );
        text
    }
}
