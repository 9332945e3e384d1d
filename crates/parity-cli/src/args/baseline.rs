//! Arguments of `parity baseline` and `parity gate`.

use super::maps::Maps;
use super::{Format, ModelFile};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Keep what a known-good comparison measured.
#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Write what a known-good comparison measured to a small file for the repository
    Save(BaselineSave),
}

/// Write what a known-good comparison measured to a small file for the repository.
#[derive(Debug, Args)]
#[command(after_help = SAVE_HELP)]
pub(crate) struct BaselineSave {
    /// Trace of the reference engine
    #[arg(value_name = "REF")]
    pub(crate) reference: PathBuf,

    /// Traces of known-good runs of the candidate; of each checkpoint the largest error is kept
    #[arg(value_name = "CAND", required = true)]
    pub(crate) candidates: Vec<PathBuf>,

    /// The file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) model: ModelFile,

    #[command(flatten)]
    pub(crate) maps: Maps,
}

/// Fail when a comparison is worse than its baseline.
#[derive(Debug, Args)]
#[command(after_help = GATE_HELP)]
pub(crate) struct GateArgs {
    /// Trace of the reference engine
    #[arg(value_name = "REF")]
    pub(crate) reference: PathBuf,

    /// Trace of the candidate engine
    #[arg(value_name = "CAND")]
    pub(crate) candidate: PathBuf,

    /// The file that `parity baseline save` wrote
    #[arg(short, long, value_name = "FILE")]
    pub(crate) baseline: PathBuf,

    /// Form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) model: ModelFile,

    #[command(flatten)]
    pub(crate) maps: Maps,
}

const SAVE_HELP: &str = "\
Examples:
  parity baseline save ref.jsonl cand.jsonl -o tests/parity.toml
  # Several runs, so that their spread is known: other thread counts, other batch sizes
  parity baseline save ref.jsonl run1.jsonl run2.jsonl run3.jsonl -o tests/parity.toml

Exit codes:
  0  saved
  2  wrong usage, unreadable input
  3  not comparable: there is nothing to keep";

const GATE_HELP: &str = "\
Examples:
  parity gate ref.jsonl cand.jsonl --baseline tests/parity.toml
  parity gate ref.jsonl cand.jsonl -b tests/parity.toml --format json | jq '.worse[].checkpoint'
  # Weights of few bits: with the model at hand the verdict does not rest on what rounding their activations may do
  parity gate ref.jsonl cand.jsonl -b tests/parity.toml --model model.gguf

Exit codes:
  0  as good as the baseline, or better
  1  worse: a checkpoint's error, the verdict, or a checkpoint that is no longer compared
  2  wrong usage, unreadable input
  3  not comparable, or the baseline is of another model";
