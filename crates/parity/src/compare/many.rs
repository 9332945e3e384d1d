//! Several candidates against one reference.

use crate::report::v1::{Many, Report, SCHEMA_VERSION};
use crate::report::words;
use std::fmt::Write;

/// All comparisons with one reference as one result: its verdict is the worst.
pub fn many(reports: Vec<Report>) -> Many {
    let worst = reports.iter().max_by_key(|report| report.exit_code);
    // Codes alone do not tell `match`, `rounding` and `drift` apart.
    let order = ["match", "rounding", "drift"];
    let least = |report: &&Report| {
        let place = order.iter().position(|verdict| *verdict == report.verdict);
        (report.exit_code, place.unwrap_or(order.len()))
    };
    let verdict = reports
        .iter()
        .max_by_key(least)
        .map(|report| report.verdict.clone());
    Many {
        schema_version: SCHEMA_VERSION,
        parity_version: env!("CARGO_PKG_VERSION").to_owned(),
        exit_code: worst.map_or(crate::exit_code::NOT_COMPARABLE, |report| report.exit_code),
        verdict: verdict.unwrap_or_else(|| "not comparable".to_owned()),
        reports,
    }
}

impl Many {
    /// One line for each candidate, then why, then the verdict; plain text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        if let Some(report) = self.reports.first() {
            let _ = writeln!(text, "reference {}\n", report.reference.path.escape_debug());
        }
        let names: Vec<String> = self
            .reports
            .iter()
            .map(|report| report.candidate.path.escape_debug().to_string())
            .collect();
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .max(9);
        let _ = writeln!(
            text,
            "{:<width$}  {:<14}  {:>9}  {:>9}  {:>9}  first divergence",
            "candidate", "verdict", "compared", "missing", "largest"
        );
        for (name, report) in names.iter().zip(&self.reports) {
            let largest = report
                .checkpoints
                .iter()
                .map(|checkpoint| checkpoint.worst_relative_rmse.0)
                .fold(f64::NAN, f64::max);
            let first = report
                .first_divergence
                .as_ref()
                .map_or_else(String::new, |first| {
                    format!(
                        "{} at position {}",
                        first.checkpoint.escape_debug(),
                        first.token_idx
                    )
                });
            let row = format!(
                "{name:<width$}  {:<14}  {:>9}  {:>9}  {:>9}  {first}",
                report.verdict,
                words::count(report.coverage.compared),
                words::count(report.coverage.missing_in_candidate.records),
                if largest.is_nan() {
                    "-".to_owned()
                } else {
                    words::number(largest)
                },
            );
            let _ = writeln!(text, "{}", row.trim_end());
        }
        text.push('\n');
        for (name, report) in names.iter().zip(&self.reports) {
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
