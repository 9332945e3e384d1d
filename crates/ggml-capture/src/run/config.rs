//! What a run is asked for, and what it answers.

use std::path::PathBuf;
use std::time::Duration;

use orch_log::Settings;
use orch_log::forced::Forced;

use super::Observer;
use crate::capture::Tally;
use crate::llama::{FlashAttention, KvType};

/// What to run and what to keep of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// A GGUF file.
    pub model: PathBuf,
    /// Text to continue; not needed with a forced trace, which has its own.
    pub prompt: Option<String>,
    /// Further prompts, decoded in the same batches as sequences 1, 2, …
    pub beside: Vec<String>,
    /// Tokens that one graph computes; a longer prompt becomes several passes of step 0. By default all of it is one.
    pub n_ubatch: Option<usize>,
    /// Tokens to pick; by default 16, or what the forced tokens ask for.
    pub n_predict: Option<usize>,
    /// Where and how to log: path, team, detail, filter, …
    pub log: Settings,
    /// Also log nodes without a canonical name.
    pub all: bool,
    /// Storage type of the KV cache.
    pub kv_type: KvType,
    /// Fused attention.
    pub flash_attn: FlashAttention,
    /// Threads that compute.
    pub threads: usize,
    /// Layers on the GPU, as [`LoadOptions::gpu_layers`](crate::llama::LoadOptions::gpu_layers).
    pub gpu_layers: usize,
    /// Compute each pass without a callback too, and compare the logits bit by bit; on a GPU always.
    pub check_logits: bool,
    /// 0 is greedy.
    pub temperature: f32,
    /// For temperatures above 0.
    pub seed: u64,
    /// Tokens to feed whatever the model picks.
    pub forced: Option<Forced>,
}

impl Config {
    /// A greedy run on one thread that captures the canonical checkpoints; it still needs a prompt or forced tokens.
    pub fn new(model: PathBuf, log: Settings) -> Self {
        Self {
            model,
            prompt: None,
            beside: Vec::new(),
            n_ubatch: None,
            n_predict: None,
            log,
            all: false,
            kv_type: KvType::default(),
            flash_attn: FlashAttention::default(),
            threads: 1,
            gpu_layers: 0,
            check_logits: false,
            temperature: 0.0,
            seed: 0,
            forced: None,
        }
    }
}

/// How far a run is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// Reading the file for its SHA-256.
    Hashing {
        /// Fraction, 0 to 1.
        fraction: f32,
    },
    /// Loading the weights.
    Loading {
        /// Fraction, 0 to 1.
        fraction: f32,
    },
    /// A forward pass is over.
    Decoded {
        /// Tokens fed so far.
        done: usize,
        /// Tokens to feed in all.
        total: usize,
    },
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// SHA-256 of the model file.
    pub hash: Duration,
    /// Loading the model.
    pub load: Duration,
    /// The prompt's pass, capture included.
    pub prefill: Duration,
    /// All later passes, capture included.
    pub decode: Duration,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Ids of the prompt.
    pub prompt_tokens: Vec<i32>,
    /// The prompt as text.
    pub prompt: String,
    /// Ids that followed the prompt: forced or picked, and the last pass's pick.
    pub continuation: Vec<i32>,
    /// The continuation as text.
    pub text: String,
    /// What each pass would have picked by itself.
    pub picks: Vec<i32>,
    /// The further prompts, in their order.
    pub beside: Vec<Beside>,
    /// Forward passes.
    pub passes: usize,
    /// Whether watching changed the logits, where that was checked.
    pub observer: Option<Observer>,
    /// What computed: `cpu`, or the GPU and how many layers it had.
    pub device: String,
    /// `f32` or `tf32`, what a GPU rounds the inputs of products of 32-bit floats to.
    pub products: Option<&'static str>,
    /// What was captured.
    pub tally: Tally,
    /// Where the time went.
    pub timings: Timings,
}

/// What became of a further prompt.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Ids of the prompt.
    pub prompt_tokens: Vec<i32>,
    /// Ids that followed it.
    pub continuation: Vec<i32>,
    /// The continuation as text.
    pub text: String,
}
