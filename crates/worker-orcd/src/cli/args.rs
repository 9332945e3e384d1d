//! The command line.

use std::path::PathBuf;

use candle_core::DType;
use clap::{Args as ArgsOf, Parser, Subcommand, ValueEnum};
use worker_orcd::model::{KvType, MatMul};
use worker_orcd::place::DeviceName;

/// A small inference engine on candle: the candidate that is compared with llama.cpp.
///
/// With ORCH_LOG_FILE set, every checkpoint of the forward pass is logged there.
#[derive(Debug, Parser)]
#[command(name = "worker-orcd", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Continue a prompt greedily
    Generate(Generate),
    /// Print the token ids of a text
    Tokenize(Tokenize),
    /// List the mistakes that can be planted with `generate --fault`
    Faults,
}

#[derive(Debug, ArgsOf)]
pub(crate) struct Generate {
    /// The model, a GGUF file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// The prompt
    #[arg(short, long, value_name = "TEXT", required_unless_present_any = ["prompt_tokens", "force_tokens"])]
    pub(crate) prompt: Option<String>,

    /// The prompt as token ids, "1, 2, 3", instead of text
    #[arg(long, value_name = "IDS", conflicts_with = "prompt")]
    pub(crate) prompt_tokens: Option<String>,

    /// Tokens to pick [default: as many as the forced tokens lead to, else 16]
    #[arg(short = 'n', long = "tokens", value_name = "N")]
    pub(crate) picks: Option<usize>,

    /// Feed these tokens whatever the model would pick: a trace (its prompt and continuation), or a
    /// list of ids (the continuation)
    #[arg(long, value_name = "FILE")]
    pub(crate) force_tokens: Option<PathBuf>,

    /// Where to compute: cpu, cuda or cuda:N (a build with the feature `cuda`)
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceName::Cpu)]
    pub(crate) device: DeviceName,

    /// Decode in a captured CUDA graph. Attention then goes over the whole cache, its empty places masked, and its
    /// scores and probabilities are not logged
    #[arg(long)]
    pub(crate) graph: bool,

    /// Type of dequantised weights, activations and cache
    #[arg(long, value_enum, default_value_t = DtypeArg::F32)]
    pub(crate) dtype: DtypeArg,

    /// Multiply with weights widened to that type, or in their storage type
    #[arg(long, value_enum, default_value_t = MatMulArg::Dequantized)]
    pub(crate) matmul: MatMulArg,

    /// Precision of the key-value cache
    #[arg(long, value_enum, default_value_t = KvTypeArg::F32)]
    pub(crate) kv_type: KvTypeArg,

    /// Threads to compute with [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Plant a mistake: NAME[,key=value…], see `worker-orcd faults`
    ///
    /// From the environment it leaves no mark on the command line, for tests that hide it from a diagnosis
    #[arg(long, value_name = "NAME", env = "WORKER_ORCD_FAULT")]
    pub(crate) fault: Option<String>,

    /// The layer in which the mistake is made
    #[arg(
        long,
        value_name = "L|all",
        requires = "fault",
        env = "WORKER_ORCD_FAULT_LAYER"
    )]
    pub(crate) fault_layer: Option<String>,

    /// The token position at which the mistake is made [default: all]
    #[arg(
        long,
        value_name = "T",
        requires = "fault",
        env = "WORKER_ORCD_FAULT_TOKEN"
    )]
    pub(crate) fault_token: Option<usize>,

    /// Write the logits of every position there, raw f32, without a trace
    #[arg(long, value_name = "FILE")]
    pub(crate) logits: Option<PathBuf>,

    /// Print on stderr how long each part took
    #[arg(long)]
    pub(crate) timings: bool,
}

#[derive(Debug, ArgsOf)]
pub(crate) struct Tokenize {
    /// The model, a GGUF file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// The text; without it, lines of standard input, each a text as a JSON string
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MatMulArg {
    /// Widened
    Dequantized,
    /// As stored
    Quantized,
}

impl From<MatMulArg> for MatMul {
    fn from(arg: MatMulArg) -> Self {
        match arg {
            MatMulArg::Dequantized => Self::Dequantized,
            MatMulArg::Quantized => Self::Quantized,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KvTypeArg {
    /// As computed
    F32,
    /// Rounded to half precision
    F16,
}

impl From<KvTypeArg> for KvType {
    fn from(arg: KvTypeArg) -> Self {
        match arg {
            KvTypeArg::F32 => Self::F32,
            KvTypeArg::F16 => Self::F16,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DtypeArg {
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// bfloat16
    Bf16,
}

impl From<DtypeArg> for DType {
    fn from(arg: DtypeArg) -> Self {
        match arg {
            DtypeArg::F32 => Self::F32,
            DtypeArg::F16 => Self::F16,
            DtypeArg::Bf16 => Self::BF16,
        }
    }
}
