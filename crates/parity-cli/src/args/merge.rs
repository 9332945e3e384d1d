//! Arguments of `parity merge`.

use clap::Args;
use std::path::PathBuf;

/// Put the traces of several processes together as one.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Merge {
    /// Traces of the ranks, or one trace with the records of all of them
    #[arg(value_name = "RANK", required = true)]
    pub(crate) ranks: Vec<PathBuf>,

    /// The merged trace
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Checkpoints of which each rank has a partial sum; `*` and `?` stand for others; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) sum: Vec<String>,
}

const HELP: &str = "\
Slices (`shard` in the record) are put side by side, partial sums added in the order of the ranks, copies compared to the bit;
layers that only one rank has (a pipeline) are taken over. All elements must be there: log with ORCH_LOG_DETAIL=full.

Examples:
  parity merge tp.rank0.jsonl tp.rank1.jsonl -o tp.jsonl --sum 'layer_*_attn_out' --sum 'layer_*_ffn_out'
  parity compare ref.jsonl tp.jsonl

Exit codes:
  0  merged
  1  copies on several ranks differ
  2  wrong usage, unreadable input
  3  something could not be put together";
