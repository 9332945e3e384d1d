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
    /// The same with types, for a data frame or a query engine
    #[cfg(feature = "parquet")]
    Parquet,
}

impl ReportFormat {
    /// Whether it shows every pair, and not only every checkpoint.
    pub(crate) fn shows_pairs(self) -> bool {
        matches!(self, Self::Html | Self::Csv) || self.is_binary()
    }

    /// Whether it is for no terminal.
    pub(crate) fn is_binary(self) -> bool {
        #[cfg(feature = "parquet")]
        return self == Self::Parquet;
        #[cfg(not(feature = "parquet"))]
        return false;
    }
}
