//! All measurements for a spreadsheet or a data frame.

use super::Number;
use super::render::Render;
use super::v1::Report;
use std::io::{self, Write};

/// One line for each compared pair; one for each checkpoint where the report has no cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csv;

const COLUMNS: [&str; 10] = [
    "checkpoint",
    "token_idx",
    "n_tokens",
    "step",
    "seq",
    "nmse",
    "relative_rmse",
    "max_abs_diff",
    "floor",
    "above_limit",
];

impl Render for Csv {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(COLUMNS)?;
        let optional = |number: Option<Number>| number.map_or_else(String::new, written);
        match &report.cells {
            Some(cells) => {
                for line in 0..cells.len() {
                    let checkpoint = &report.checkpoints[cells.checkpoint[line] as usize];
                    csv.write_record([
                        harmless(&checkpoint.checkpoint),
                        cells.token_idx[line].to_string(),
                        cells.n_tokens[line].to_string(),
                        cells.step[line].map_or_else(String::new, |step| step.to_string()),
                        cells.seq[line].to_string(),
                        written(cells.nmse[line]),
                        written(Number(cells.nmse[line].0.sqrt())),
                        optional(cells.max_abs_diff[line]),
                        optional(cells.floor[line]),
                        cells.above_limit[line].to_string(),
                    ])?;
                }
            }
            None => {
                for row in &report.checkpoints {
                    csv.write_record([
                        harmless(&row.checkpoint),
                        row.worst_token_idx.to_string(),
                        String::new(),
                        String::new(),
                        String::new(),
                        written(row.worst_nmse),
                        written(row.worst_relative_rmse),
                        optional(row.max_abs_diff),
                        optional(row.max_nmse.map(|limit| Number(limit.0.sqrt()))),
                        (row.above_limit > 0).to_string(),
                    ])?;
                }
            }
        }
        csv.flush()
    }
}

/// As pandas and R read it: `NaN`, `inf`, `-inf`.
fn written(Number(value): Number) -> String {
    if value.is_finite() {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// A name that a spreadsheet would run as a formula gets a quote in front.
fn harmless(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{name}")
    } else {
        name.to_owned()
    }
}
