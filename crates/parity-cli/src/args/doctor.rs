//! Arguments of `parity doctor`.

use super::Format;
use clap::Args;
use std::path::PathBuf;

/// Say why there is no trace, or why it is of no use.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Doctor {
    /// The trace, whether it exists or not
    #[arg(value_name = "TRACE", required_unless_present_any = ["env", "engine"])]
    pub(crate) trace: Option<PathBuf>,

    /// Another trace that the first one should align with
    #[arg(long, value_name = "TRACE", requires = "trace")]
    pub(crate) against: Option<PathBuf>,

    /// Check the loggers' variables, as an engine started from here would find them
    #[arg(long)]
    pub(crate) env: bool,

    /// Look whether the logger is compiled into this program or library
    #[arg(long, value_name = "FILE")]
    pub(crate) engine: Option<PathBuf>,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const HELP: &str = "\
Examples:
  # No file appears: is logging switched on, is the logger in the program?
  parity doctor --env --engine target/release/my-engine
  # The file is empty, or does not parse
  parity doctor cand.jsonl
  # Nothing aligns
  parity doctor cand.jsonl --against ref.jsonl

Exit codes:
  0  nothing stands in the way
  1  something does; each finding says what to do next
  2  wrong usage, unreadable input";
