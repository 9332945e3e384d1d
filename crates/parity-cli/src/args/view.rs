//! Arguments of `parity view`.

use super::maps::Maps;
use clap::Args;
use std::path::PathBuf;

/// Show a comparison in a browser, with all values of both traces behind it.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct View {
    /// Trace of the reference engine
    #[arg(value_name = "REF")]
    pub(crate) reference: PathBuf,

    /// Trace of the candidate engine
    #[arg(value_name = "CAND")]
    pub(crate) candidate: PathBuf,

    /// Show only these checkpoints; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,

    /// Added to the candidate's token positions; 0 says that both count from the same origin
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) token_offset: Option<i64>,

    #[command(flatten)]
    pub(crate) maps: Maps,

    /// Port, a free one by default
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) port: u16,
}

const HELP: &str = "\
The page is the one of `parity compare --format html`, but every pair's histograms are read from the traces when they
are looked at. Only this machine can reach it, and only who knows its address. Ctrl-C ends it.

Examples:
  parity view ref.jsonl cand.jsonl
  # On another machine, through SSH
  ssh -L 8080:127.0.0.1:8080 build-host parity view ref.jsonl cand.jsonl --port 8080";
