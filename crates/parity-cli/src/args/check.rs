//! Arguments of `parity check`.

use super::Format;
use clap::Args;
use std::path::PathBuf;

/// Say whether a trace is what its engine computed, or was damaged on the way to disk.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Check {
    /// The trace
    #[arg(value_name = "TRACE")]
    pub(crate) trace: PathBuf,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const HELP: &str = "\
Examples:
  parity check run.jsonl
  parity check run.jsonl --format json | jq '.findings[].code'

Exit codes:
  0  no error; warnings say what is imprecise or missing
  2  wrong usage, unreadable input
  3  damaged: numbers in the trace are not what the engine computed";
