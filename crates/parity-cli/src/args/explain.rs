//! Arguments of `parity explain`.

use super::Format;
use super::maps::Maps;
use clap::Args;
use std::path::PathBuf;

/// Say why two traces disagree, and show everything that was tried.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "parity explain [OPTIONS] REF CAND\n       parity explain CODE\n       parity explain --list")]
pub(crate) struct Explain {
    /// Trace of the reference engine, or the code of a rule
    #[arg(value_name = "REF|CODE", required_unless_present = "list")]
    pub(crate) reference: Option<PathBuf>,

    /// Trace of the candidate engine
    #[arg(value_name = "CAND")]
    pub(crate) candidate: Option<PathBuf>,

    /// List all rules
    #[arg(long, conflicts_with_all = ["reference", "at"])]
    pub(crate) list: bool,

    /// Model file: hypotheses about weights can only be tested with it
    #[cfg(feature = "llama")]
    #[arg(long, short, value_name = "GGUF")]
    pub(crate) model: Option<PathBuf>,

    /// Explain this checkpoint instead of the first divergence; with `@N` the pass that holds position N
    #[arg(long, value_name = "CHECKPOINT[@N]")]
    pub(crate) at: Option<String>,

    #[command(flatten)]
    pub(crate) maps: Maps,

    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Added to the candidate's token positions
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) token_offset: Option<i64>,

    /// All hypotheses instead of the best twenty
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const EXAMPLES: &str = "\
Examples:
  parity explain ref.jsonl cand.jsonl --model model.gguf
  # A checkpoint of your choice, in the pass that holds position 7
  parity explain ref.jsonl cand.jsonl --at layer_3_q_rope@7
  # A candidate with names of its own, which a map reads
  parity explain ref.jsonl cand.jsonl --map-candidate huggingface
  # The page of a rule
  parity explain P012

Exit codes:
  0  the traces do not disagree, or a rule was shown
  1  they disagree
  2  wrong usage, unreadable input
  3  not comparable, or not all elements were captured";
