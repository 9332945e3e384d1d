//! Forms of the report of a comparison.

use clap::ValueEnum;

/// Form of the report of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For a terminal
    Text,
    /// For programs, as spec/report-v1.schema.json describes it
    Json,
    /// For a browser: one file with charts, which opens without a network
    Html,
    /// For a pull request
    Markdown,
    /// For a CI system: JUnit XML, a test case for each checkpoint
    Junit,
    /// For a spreadsheet or a data frame: a line for each compared pair
    Csv,
}

impl ReportFormat {
    /// Whether it shows every pair, and not only every checkpoint.
    pub(crate) fn shows_pairs(self) -> bool {
        matches!(self, Self::Html | Self::Csv)
    }
}
