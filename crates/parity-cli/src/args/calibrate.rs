//! Arguments of `parity calibrate`.

use clap::Args;
use std::path::PathBuf;

/// Measure the noise between runs that are all right, for `parity compare --noise`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Calibrate {
    /// Trace of the reference engine
    #[arg(value_name = "REF")]
    pub(crate) reference: PathBuf,

    /// Traces that differ from it only benignly: threads, batches, fused attention, cache type, precision of weights
    #[arg(value_name = "REF2", required = true)]
    pub(crate) others: Vec<PathBuf>,

    /// The noise file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Measure only these checkpoints; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  parity capture llama -m model.gguf -p TEXT -n 10 --kv-type f32 -o ref.jsonl
  parity capture llama -m model.gguf -p TEXT --force-tokens ref.jsonl --kv-type f16 -o kv16.jsonl
  parity capture llama -m model.gguf -p TEXT --force-tokens ref.jsonl --ubatch 1 -o single.jsonl
  parity calibrate ref.jsonl kv16.jsonl single.jsonl -o noise.toml
  parity compare ref.jsonl cand.jsonl --noise noise.toml";
