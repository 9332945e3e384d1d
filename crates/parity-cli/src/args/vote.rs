//! Arguments of `parity vote`.

use super::Format;
use super::compare::threshold;
use clap::Args;
use std::path::PathBuf;

/// Compare several traces without a reference and name the odd one out.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Vote {
    /// Traces of the same model on the same tokens, at least three
    #[arg(value_name = "TRACE", num_args = 3.., required = true)]
    pub(crate) traces: Vec<PathBuf>,

    /// Form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Largest NMSE that still counts as agreement, instead of the noise measured for the models' weights
    #[arg(long, value_name = "NMSE", value_parser = threshold)]
    pub(crate) threshold: Option<f64>,

    /// Vote on these checkpoints only; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,

    /// All checkpoints, not only those that some disagree on
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const HELP: &str = "\
Every two traces are compared. Where more than half agree on a checkpoint, the others are odd; the first such checkpoint in
dataflow order is named. A vote finds who differs, not who is right: engines that share code share mistakes.

Examples:
  parity vote llama.jsonl vllm.jsonl mine.jsonl
  parity vote a.jsonl b.jsonl c.jsonl --format json | jq .first

Exit codes:
  0  all agree
  1  an odd one out, or no majority
  2  wrong usage, unreadable input
  3  fewer than three traces that can be compared";
