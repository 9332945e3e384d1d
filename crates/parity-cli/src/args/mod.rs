//! The command line.

mod align;
mod baseline;
mod calibrate;
#[cfg(feature = "llama")]
mod capture;
mod check;
mod compare;
mod doctor;
mod explain;
mod maps;
mod merge;
mod model_file;
#[cfg(feature = "llama")]
mod models;
mod report_format;
#[cfg(feature = "llama")]
mod verify;
mod view;
mod vote;

pub(crate) use align::Align;
pub(crate) use baseline::{BaselineCommand, BaselineSave, GateArgs};
pub(crate) use calibrate::Calibrate;
#[cfg(feature = "llama")]
pub(crate) use capture::{Capture, CaptureCommand, CaptureLlama, CaptureProgram, DetailArg};
pub(crate) use check::Check;
pub(crate) use compare::Compare;
pub(crate) use doctor::Doctor;
pub(crate) use explain::Explain;
pub(crate) use merge::Merge;
pub(crate) use model_file::ModelFile;
#[cfg(feature = "llama")]
pub(crate) use models::{Convert, ModelsCommand, Tiny};
pub(crate) use report_format::ReportFormat;
#[cfg(feature = "llama")]
pub(crate) use verify::Verify;

pub(crate) use view::View;
pub(crate) use vote::Vote;

use clap::{Parser, Subcommand, ValueEnum};

/// Two engines run the same model and disagree: where, and beyond what noise?
#[derive(Debug, Parser)]
#[command(name = "parity", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Colours
    #[arg(long, value_enum, default_value_t = ColorWhen::Auto, global = true, value_name = "WHEN")]
    pub(crate) color: ColorWhen,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[cfg(feature = "llama")]
const EXAMPLES: &str = "\
Examples:
  # The reference: llama.cpp, greedily, 10 tokens
  parity capture llama -m model.gguf -p \"Write a haiku about GPU computing\" -n 10 -o ref.jsonl

  # The candidate: your engine, instrumented with orch_log!, fed with the same tokens
  ORCH_LOG_FILE=cand.jsonl my-engine --force-tokens ref.jsonl

  # Where do they part?
  parity compare ref.jsonl cand.jsonl

Exit codes:
  0  match, rounding or drift
  1  diverged; drift with --strict
  2  wrong usage, unreadable input
  3  not comparable";

#[cfg(not(feature = "llama"))]
const EXAMPLES: &str = "\
Examples:
  parity compare ref.jsonl cand.jsonl
  parity compare ref.jsonl cand.jsonl --checkpoint 'layer_3_*' -v

Exit codes:
  0  match, rounding or drift
  1  diverged; drift with --strict
  2  wrong usage, unreadable input
  3  not comparable";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare two traces and say where they first disagree
    Compare(Compare),
    /// Measure the noise between runs that are all right, for `compare --noise`
    Calibrate(Calibrate),
    /// Compare several traces without a reference and name the odd one out
    Vote(Vote),
    /// Show what is compared with what, or propose it from the numbers
    Align(Align),
    /// Put the traces of several processes together as one
    Merge(Merge),
    /// Show a comparison in a browser, with all values of both traces behind it
    View(View),
    /// Keep what a known-good comparison measured
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Fail when a comparison is worse than its baseline
    Gate(GateArgs),
    /// Say whether a trace is what its engine computed, or was damaged on the way to disk
    Check(Check),
    /// Recompute a trace from the model: does every operation's output follow from its inputs?
    #[cfg(feature = "llama")]
    Verify(Verify),
    /// Say why two traces disagree, or print a rule
    Explain(Explain),
    /// Say why there is no trace, or why it is of no use
    Doctor(Doctor),
    /// Run a reference engine, or any program that uses ggml, and log its forward pass
    #[cfg(feature = "llama")]
    Capture(Capture),
    /// Look at, convert and make model files
    #[cfg(feature = "llama")]
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Print the manual page, or write those of all commands into a folder
    #[command(after_help = "Example:\n  parity man ~/.local/share/man/man1")]
    Man {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: Option<std::path::PathBuf>,
    },
    /// Print the JSON Schema of `parity compare --format json`
    Schema,
    /// Print the completions of a shell
    #[command(
        after_help = "Example:\n  parity completions bash > ~/.local/share/bash-completion/completions/parity"
    )]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Form of a result that is not a comparison's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl From<ColorWhen> for anstream::ColorChoice {
    fn from(when: ColorWhen) -> Self {
        match when {
            ColorWhen::Auto => Self::Auto,
            ColorWhen::Always => Self::AlwaysAnsi,
            ColorWhen::Never => Self::Never,
        }
    }
}
