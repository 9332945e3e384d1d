//! Arguments of `parity verify`.

use super::Format;
use super::compare::threshold;
use clap::Args;
use std::path::PathBuf;

/// Say whether each operation's output follows from its inputs and the model.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Verify {
    /// The trace, with whole tensors (`--detail full`, ORCH_LOG_DETAIL=full)
    #[arg(value_name = "TRACE")]
    pub(crate) trace: PathBuf,

    /// The model that was run, a GGUF file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Verify only these checkpoints; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,

    /// Largest relative error of a row that follows, instead of the one of the operation
    #[arg(long, value_name = "ERROR", value_parser = threshold)]
    pub(crate) limit: Option<f64>,

    /// Every operation, not a summary
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const HELP: &str = "\
Every operation is recomputed from its logged inputs, in f64 and, where that is not near enough, with ggml's own
arithmetic. No reference is needed: the operation whose output does not follow is the one that is wrong.

Examples:
  parity verify cand.jsonl --model model.gguf
  # One block, all figures
  parity verify cand.jsonl -m model.gguf --checkpoint 'layer_3_*' -v
  parity verify cand.jsonl -m model.gguf --format json | jq -r '.culprits[]'

Exit codes:
  0  every operation that was recomputed follows
  1  an operation does not follow
  2  wrong usage, unreadable input
  3  nothing could be recomputed";
