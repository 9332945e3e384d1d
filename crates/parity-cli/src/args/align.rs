//! Arguments of `parity align`.

use super::Format;
use super::maps::Maps;
use clap::Args;
use std::path::PathBuf;

/// Show which record of one trace is which record of the other, or propose a name map.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Align {
    /// Trace of the reference engine
    #[arg(value_name = "REF")]
    pub(crate) reference: PathBuf,

    /// Trace of the candidate engine
    #[arg(value_name = "CAND")]
    pub(crate) candidate: PathBuf,

    /// Propose a name map from order, shape, statistics, values and sketches, as TOML
    #[arg(long)]
    pub(crate) propose: bool,

    /// Confidence from which on a proposed pair is written so that it takes effect
    #[arg(long, value_name = "0…1", default_value_t = parity::align::Proposal::SURE, value_parser = share, requires = "propose")]
    pub(crate) sure: f64,

    #[command(flatten)]
    pub(crate) maps: Maps,

    /// Form of the pairing
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "propose")]
    pub(crate) format: Format,

    /// Only these checkpoints; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB", conflicts_with = "propose")]
    pub(crate) checkpoint: Vec<String>,

    /// Added to the candidate's token positions
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 0
    )]
    pub(crate) token_offset: i64,

    /// Every layer on its own line
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const HELP: &str = "\
Examples:
  # What is compared with what, and what with nothing
  parity align ref.jsonl cand.jsonl
  # An engine with its own names: propose, read, use
  parity align ref.jsonl cand.jsonl --propose > map.toml
  parity compare ref.jsonl cand.jsonl --map-candidate map.toml

Exit codes:
  0  at least one pair
  2  wrong usage, unreadable input
  3  nothing in common, or nothing to propose";

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1, such as 0.9".to_owned()),
    }
}
