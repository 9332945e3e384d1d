//! Arguments of `parity compare`.

use super::ModelFile;
use super::maps::Maps;
use super::report_format::ReportFormat;
use clap::Args;
use std::path::PathBuf;

/// Compare two traces and say where they first disagree.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Compare {
    /// Trace of the reference engine
    #[arg(value_name = "REF")]
    pub(crate) reference: PathBuf,

    /// Trace of the candidate engine
    #[arg(value_name = "CAND")]
    pub(crate) candidate: PathBuf,

    /// Further candidates, each compared with the same reference; the exit code is that of the worst
    #[arg(value_name = "CAND")]
    pub(crate) more: Vec<PathBuf>,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,

    /// Write the report to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Largest NMSE that is not a divergence, instead of the noise measured for the models' weights
    #[arg(long, value_name = "NMSE", value_parser = threshold)]
    pub(crate) threshold: Option<f64>,

    /// Noise measured by `parity calibrate`, instead of the model of noise
    #[arg(long, value_name = "FILE", conflicts_with_all = ["threshold", "bands"])]
    pub(crate) noise: Option<PathBuf>,

    /// Limits of single checkpoints, each with a reason; one that is no longer needed fails the run
    #[arg(long, value_name = "FILE")]
    pub(crate) tolerances: Option<PathBuf>,

    /// Exit with 1 where the runs drift apart by more than noise, too
    #[arg(long)]
    pub(crate) strict: bool,

    /// Judge by the bands of the largest absolute difference: 1 and above diverges
    #[arg(long, conflicts_with = "threshold")]
    pub(crate) bands: bool,

    #[command(flatten)]
    pub(crate) model: ModelFile,

    /// Compare only these checkpoints; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,

    /// How many of the worst checkpoints are listed, 5 by default; more than one screen
    #[arg(long, value_name = "N", value_parser = top)]
    pub(crate) top: Option<usize>,

    /// Added to the candidate's token positions; 0 says that both count from the same origin
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) token_offset: Option<i64>,

    /// Least share of the reference's records that must be compared, in percent; with less the traces are not comparable
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) min_coverage: Option<f64>,

    #[command(flatten)]
    pub(crate) maps: Maps,

    /// Compare again whenever a trace has grown, until interrupted; SECONDS between two looks
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = seconds)]
    pub(crate) watch: Option<f64>,

    /// Everything: lists in full, all checkpoints, values of the worst
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const EXAMPLES: &str = "\
Examples:
  parity compare ref.jsonl cand.jsonl
  # One layer, with all values that the traces show
  parity compare ref.jsonl cand.jsonl --checkpoint 'layer_3_*' -v
  # An engine with its own names: a shipped map, or an own one
  parity compare ref.jsonl vllm.jsonl --map-candidate vllm
  parity compare ref.jsonl mine.jsonl --map-candidate mine.toml
  # For a colleague: one page that opens anywhere
  parity compare ref.jsonl cand.jsonl --format html -o report.html
  # For a pull request, for a CI system
  parity compare ref.jsonl cand.jsonl --format markdown >> summary.md
  parity compare ref.jsonl cand.jsonl --format junit -o parity.xml
  # While the engine runs
  parity compare ref.jsonl cand.jsonl --watch
  # For a program
  parity compare ref.jsonl cand.jsonl --format json | jq .first_divergence.checkpoint
  # For a data frame: every pair, with types
  parity compare ref.jsonl cand.jsonl --format parquet -o parity.parquet
  # Several candidates, one table
  parity compare ref.jsonl cuda.jsonl cpu.jsonl metal.jsonl
  # With the model at hand, small mistakes show that noise hides
  parity compare ref.jsonl cand.jsonl --model model.gguf
  # In CI, with an own limit: a relative error of 1 % is an NMSE of 1e-4
  parity compare ref.jsonl cand.jsonl --threshold 1e-4";

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

pub(super) fn threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(limit) if limit >= 0.0 && limit.is_finite() => Ok(limit),
        _ => Err("expected a number from 0 on, such as 1e-4".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds from 0.05 to 3600".to_owned()),
    }
}

/// Each one is kept with its values while the traces are read.
fn top(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(top) if (1..=1000).contains(&top) => Ok(top),
        _ => Err("expected a number from 1 to 1000".to_owned()),
    }
}
