//! Arguments of `parity models`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use ggml_capture::models::{Architecture, Weights};
use std::path::PathBuf;

/// What to do with a model file.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Print what a GGUF file contains
    Inspect {
        /// The model, a GGUF file
        #[arg(value_name = "MODEL")]
        model: PathBuf,
    },
    /// Write a model with weights of another storage type
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(Convert),
    /// Write a tiny random model, for tests that need every operation but no sense
    #[command(after_help = TINY_EXAMPLES)]
    Tiny(Tiny),
}

/// Arguments of `parity models convert`.
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// The model to read, a GGUF file
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,

    /// The model to write
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: PathBuf,

    /// Storage type of the weights
    #[arg(short, long, value_name = "TYPE", value_parser = PossibleValuesParser::new(Weights::ALL.map(|(name, _)| name)))]
    weights: String,
}

/// Arguments of `parity models tiny`.
#[derive(Debug, Args)]
pub(crate) struct Tiny {
    /// The model to write
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: PathBuf,

    /// Architecture
    #[arg(short, long, value_name = "NAME", default_value = "llama",
          value_parser = PossibleValuesParser::new(Architecture::ALL.map(|(name, _)| name)))]
    architecture: String,

    /// GGUF file whose tokenizer is taken
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) donor: PathBuf,

    /// Layers
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) layers: u16,

    /// Tokens kept of the donor's vocabulary
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) vocabulary: u32,

    /// Seed of the random weights
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,

    /// Matrices in half precision
    #[arg(long)]
    pub(crate) half: bool,
}

const CONVERT_EXAMPLES: &str = "\
Example:
  # The same model without quantisation noise: both engines then agree to seven digits
  parity models convert model-q4_1.gguf model-f32.gguf --weights f32";

const TINY_EXAMPLES: &str = "\
Example:
  parity models tiny tiny-qwen2.gguf --architecture qwen2 --donor model.gguf";

impl Convert {
    /// The chosen type; clap lets no other name pass.
    pub(crate) fn weights(&self) -> Weights {
        let chosen = Weights::ALL
            .into_iter()
            .find(|(name, _)| *name == self.weights);
        chosen.map_or(Weights::F32, |(_, weights)| weights)
    }
}

impl Tiny {
    /// The chosen architecture; clap lets no other name pass.
    pub(crate) fn architecture(&self) -> Architecture {
        let chosen = Architecture::ALL
            .into_iter()
            .find(|(name, _)| *name == self.architecture);
        chosen.map_or(Architecture::Llama, |(_, architecture)| architecture)
    }
}
