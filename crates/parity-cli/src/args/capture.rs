//! Arguments of `parity capture`.

use clap::{Args, Subcommand, ValueEnum};
use ggml_capture::llama::{FlashAttention, KvType};
use orch_log::{Detail, Values};
use std::ffi::OsString;
use std::path::PathBuf;

/// Arguments of `parity capture`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = PROGRAM_EXAMPLES
)]
pub(crate) struct Capture {
    #[command(subcommand)]
    pub(crate) engine: Option<CaptureCommand>,

    #[command(flatten)]
    pub(crate) program: CaptureProgram,
}

/// Which engine.
#[derive(Debug, Subcommand)]
pub(crate) enum CaptureCommand {
    /// Run unmodified llama.cpp on a GGUF model and log every checkpoint of its forward pass
    Llama(CaptureLlama),
}

/// Arguments of `parity capture llama`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CaptureLlama {
    /// The model, a GGUF file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// The prompt; further ones are computed in the same batches, as sequences of their own
    #[arg(
        short,
        long,
        value_name = "TEXT",
        required_unless_present = "force_tokens"
    )]
    pub(crate) prompt: Vec<String>,

    /// Put each prompt into the model's own chat template, as one message of the user
    #[arg(long, requires = "prompt")]
    pub(crate) chat: bool,

    /// Tokens to pick [default: as many as the forced tokens lead to, else 16]
    #[arg(short = 'n', long = "tokens", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) picks: Option<u32>,

    /// Tokens that one graph computes: a longer prompt becomes several passes [default: all of it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ubatch: Option<u32>,

    /// The trace to write, NAME.jsonl
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Log only these checkpoints; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,

    /// What is kept of each tensor
    #[arg(long, value_enum, default_value_t = DetailArg::Stats)]
    pub(crate) detail: DetailArg,

    /// How many first values a record shows
    #[arg(long, value_name = "N|all", default_value = "10", value_parser = values)]
    pub(crate) values: Values,

    /// Also log nodes that have no canonical name
    #[arg(long)]
    pub(crate) all: bool,

    /// Storage type of the key-value cache; f16 is llama.cpp's default and rounds
    #[arg(long, value_enum, default_value_t = KvTypeArg::F16)]
    pub(crate) kv_type: KvTypeArg,

    /// Fused attention, which hides scores, probabilities and context
    #[arg(long, value_enum, default_value_t = FlashAttentionArg::Off)]
    pub(crate) flash_attn: FlashAttentionArg,

    /// Layers that the GPU computes, `all` or a number; the rest stays on the CPU
    #[arg(long, visible_alias = "ngl", value_name = "N|all", default_value = "0", value_parser = layers)]
    pub(crate) gpu_layers: usize,

    /// Also compute each pass without capturing, and compare the logits bit by bit; always so on a GPU
    #[arg(long)]
    pub(crate) check_logits: bool,

    /// Threads that compute [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Sampling temperature; 0 picks the most probable token, which is what parity needs
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = temperature)]
    pub(crate) temp: f32,

    /// Seed of the sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Feed these tokens whatever the model would pick: a trace, or a file with token ids
    #[arg(long, value_name = "FILE")]
    pub(crate) force_tokens: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  parity capture llama -m model.gguf -p \"Write a haiku about GPU computing\" -n 10 -o ref.jsonl
  # The same as a chat message, in the model's own template
  parity capture llama -m model.gguf --chat -p \"Write a haiku about GPU computing\" -n 10 -o ref.jsonl
  # As exact as llama.cpp can be: nothing rounded to 16 bits, every element on disk
  parity capture llama -m model-f32.gguf -p \"Hello\" --kv-type f32 --detail full -o ref.jsonl
  # Only what layer 3 does
  parity capture llama -m model.gguf -p \"Hello\" --checkpoint 'layer_3_*' -o ref.jsonl
  # Two sequences in one batch, in graphs of at most 8 tokens
  parity capture llama -m model.gguf -p \"Hello\" -p \"Once upon a time\" --ubatch 8 -o ref.jsonl
  # On a GPU (a build with the feature `cuda`), in graphs small enough for products in 32-bit floats
  parity capture llama -m model-f32.gguf -p \"Hello\" --gpu-layers all --ubatch 3 --kv-type f32 -o gpu.jsonl
  # The noise floor: llama.cpp against itself with another cache, fed with the same tokens
  parity capture llama -m model.gguf --force-tokens ref.jsonl --kv-type f32 -o again.jsonl";

/// Arguments of `parity capture -- PROGRAM`.
#[derive(Debug, Args)]
pub(crate) struct CaptureProgram {
    /// The program, with its arguments
    #[arg(last = true, value_name = "PROGRAM", num_args = 1..)]
    pub(crate) command: Vec<OsString>,

    /// The trace to write, NAME.jsonl; further runs of the program go to NAME.2.jsonl and so on
    #[arg(short, long, value_name = "FILE", requires = "command")]
    pub(crate) output: Option<PathBuf>,

    /// Who the trace says is logging
    #[arg(long, value_name = "NAME", default_value = "llama.cpp")]
    pub(crate) team: String,

    /// Log only these checkpoints; `*` and `?` stand for others, a leading `!` excludes; can be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) checkpoint: Vec<String>,

    /// What is kept of each tensor
    #[arg(long, value_enum, default_value_t = DetailArg::Stats)]
    pub(crate) detail: DetailArg,

    /// How many first values a record shows
    #[arg(long, value_name = "N|all", default_value = "10", value_parser = values)]
    pub(crate) values: Values,

    /// Also log nodes that have no canonical name
    #[arg(long)]
    pub(crate) all: bool,

    /// Also log passes that only warm the program up or probe it
    #[arg(long)]
    pub(crate) warm_up: bool,
}

const PROGRAM_EXAMPLES: &str = "\
Examples:
  # Unmodified llama.cpp, linked into this command
  parity capture llama -m model.gguf -p \"Hello\" -n 10 -o ref.jsonl
  # Any program that loads ggml dynamically, as it is; flash attention would hide scores and probabilities
  parity capture -o run.jsonl -- llama-cli -m model.gguf -p \"Hello\" -n 10 -fa off
  parity capture -o run.jsonl -- python3 my_script_with_llama_cpp.py

The program's input, output and exit code are its own; what there is to say about the capture follows on stderr.";

/// What is kept of each tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DetailArg {
    /// The first values
    Values,
    /// Also statistics and a sketch of all elements
    Stats,
    /// Also all elements, in a file beside the trace
    Full,
}

impl From<DetailArg> for Detail {
    fn from(detail: DetailArg) -> Self {
        match detail {
            DetailArg::Values => Self::Values,
            DetailArg::Stats => Self::Stats,
            DetailArg::Full => Self::Full,
        }
    }
}

/// Storage type of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KvTypeArg {
    /// Half precision
    F16,
    /// As computed
    F32,
}

impl From<KvTypeArg> for KvType {
    fn from(kv_type: KvTypeArg) -> Self {
        match kv_type {
            KvTypeArg::F16 => Self::F16,
            KvTypeArg::F32 => Self::F32,
        }
    }
}

/// Fused attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlashAttentionArg {
    /// Always
    On,
    /// Never
    Off,
    /// llama.cpp's choice
    Auto,
}

impl From<FlashAttentionArg> for FlashAttention {
    fn from(flash_attn: FlashAttentionArg) -> Self {
        match flash_attn {
            FlashAttentionArg::On => Self::On,
            FlashAttentionArg::Off => Self::Off,
            FlashAttentionArg::Auto => Self::Auto,
        }
    }
}

fn values(text: &str) -> Result<Values, String> {
    if text == "all" {
        return Ok(Values::All);
    }
    text.parse()
        .map(Values::First)
        .map_err(|_| "expected a count or `all`".to_owned())
}

fn layers(text: &str) -> Result<usize, String> {
    if text == "all" {
        return Ok(usize::MAX);
    }
    text.parse()
        .map_err(|_| "expected a number of layers or `all`".to_owned())
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(temperature) if temperature >= 0.0 && temperature.is_finite() => Ok(temperature),
        _ => Err("expected a number from 0 on".to_owned()),
    }
}
