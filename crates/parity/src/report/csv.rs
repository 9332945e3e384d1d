//! All measurements for a spreadsheet or a data frame.

use super::render::Render;
use super::table::{Values, table};
use super::v1::Report;
use std::io::{self, Write};

/// One line for each compared pair; one for each checkpoint where the report has no cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csv;

impl Render for Csv {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let (lines, columns) = table(report);
        csv.write_record(columns.iter().map(|column| column.name))
            .map_err(as_io)?;
        for line in 0..lines {
            csv.write_record(columns.iter().map(|column| written(&column.values, line)))
                .map_err(as_io)?;
        }
        csv.flush()
    }
}

/// What the system said, unwrapped: a reader that went away is to be known by its kind.
fn as_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Numbers as pandas and R read them: `NaN`, `inf`, `-inf`.
fn written(values: &Values<'_>, line: usize) -> String {
    match values {
        Values::Text(value) => harmless(value(line)),
        Values::Integer(value) => value(line).map_or_else(String::new, |value| value.to_string()),
        Values::Real(value) => value(line).map_or_else(String::new, |value| {
            if value.is_finite() {
                format!("{value:e}")
            } else {
                value.to_string()
            }
        }),
        Values::Flag(value) => value(line).to_string(),
    }
}

/// A name that a spreadsheet would run as a formula gets a quote in front; what a terminal would obey becomes an escape.
fn harmless(name: &str) -> String {
    let quote = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mut out = String::from(if quote { "'" } else { "" });
    for c in name.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
