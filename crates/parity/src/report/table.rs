//! The table that CSV and Parquet write: which columns, of which types.

use super::Number;
use super::v1::{Cells, CheckpointSummary, Report};

/// One column: its name, and what gives the value of a line.
pub(super) struct Column<'a> {
    pub(super) name: &'static str,
    pub(super) values: Values<'a>,
}

/// Values by line. Nothing is copied: a report may hold millions of pairs.
pub(super) enum Values<'a> {
    /// Text, in every line.
    Text(Box<dyn Fn(usize) -> &'a str + 'a>),
    /// Integers, not in every line.
    Integer(Box<dyn Fn(usize) -> Option<i64> + 'a>),
    /// Numbers, not in every line; NaN and infinity are values.
    Real(Box<dyn Fn(usize) -> Option<f64> + 'a>),
    /// Yes or no, in every line.
    Flag(Box<dyn Fn(usize) -> bool + 'a>),
}

/// The columns, and how many lines they have: one for each compared pair; one for each checkpoint where the report has
/// no cells.
pub(super) fn table(report: &Report) -> (usize, [Column<'_>; 10]) {
    match &report.cells {
        Some(cells) => (cells.len(), of_pairs(report, cells)),
        None => (
            report.checkpoints.len(),
            of_checkpoints(&report.checkpoints),
        ),
    }
}

fn of_pairs<'a>(report: &'a Report, cells: &'a Cells) -> [Column<'a>; 10] {
    let optional = |numbers: &'a [Option<Number>]| real(|at| numbers[at].map(|number| number.0));
    named([
        text(|at| &report.checkpoints[cells.checkpoint[at] as usize].checkpoint),
        integer(|at| Some(cells.token_idx[at])),
        integer(|at| Some(cells.n_tokens[at].into())),
        integer(|at| cells.step[at].map(i64::from)),
        integer(|at| Some(cells.seq[at].into())),
        real(|at| Some(cells.nmse[at].0)),
        real(|at| Some(cells.nmse[at].0.sqrt())),
        optional(&cells.max_abs_diff),
        optional(&cells.floor),
        flag(|at| cells.above_limit[at]),
    ])
}

fn of_checkpoints(rows: &[CheckpointSummary]) -> [Column<'_>; 10] {
    named([
        text(|at| &rows[at].checkpoint),
        integer(|at| Some(rows[at].worst_token_idx)),
        integer(|_| None),
        integer(|_| None),
        integer(|_| None),
        real(|at| Some(rows[at].worst_nmse.0)),
        real(|at| Some(rows[at].worst_relative_rmse.0)),
        real(|at| rows[at].max_abs_diff.map(|number| number.0)),
        real(|at| rows[at].max_nmse.map(|limit| limit.0.sqrt())),
        flag(|at| rows[at].above_limit > 0),
    ])
}

fn named(values: [Values<'_>; 10]) -> [Column<'_>; 10] {
    let mut names = [
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
    ]
    .into_iter();
    values.map(|values| Column {
        name: names.next().expect("as many names as columns"),
        values,
    })
}

fn text<'a>(value: impl Fn(usize) -> &'a str + 'a) -> Values<'a> {
    Values::Text(Box::new(value))
}

fn integer<'a>(value: impl Fn(usize) -> Option<i64> + 'a) -> Values<'a> {
    Values::Integer(Box::new(value))
}

fn real<'a>(value: impl Fn(usize) -> Option<f64> + 'a) -> Values<'a> {
    Values::Real(Box::new(value))
}

fn flag<'a>(value: impl Fn(usize) -> bool + 'a) -> Values<'a> {
    Values::Flag(Box::new(value))
}
