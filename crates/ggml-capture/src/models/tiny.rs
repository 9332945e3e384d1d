//! Tiny random models, for tests that need every operation but no sense.

use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};

use super::gguf::{Gguf, Tensor};
use super::write_whole;
use crate::Error;
use crate::llama;

/// An architecture that [`tiny`] can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Interleaved rotation, no biases, tied embeddings.
    Llama,
    /// Half-split rotation, biases on Q, K and V, an output matrix of its own.
    Qwen2,
}

/// Size and contents of a tiny model.
#[derive(Clone, Copy, Debug)]
pub struct TinyOptions {
    /// Seed of the weights.
    pub seed: u64,
    /// Blocks.
    pub layers: usize,
    /// Tokens kept of the donor's vocabulary.
    pub vocabulary: usize,
    /// Matrices in half precision.
    pub half: bool,
}

impl Default for TinyOptions {
    fn default() -> Self {
        Self {
            seed: 42,
            layers: 3,
            vocabulary: 512,
            half: false,
        }
    }
}

/// Sizes that all tiny models share: grouped-query attention, and nothing equal to anything else, so that
/// an exchanged axis shows.
const EMBEDDING: usize = 128;
const HEADS: usize = 4;
const HEADS_KV: usize = 2;
const HEAD_DIM: usize = EMBEDDING / HEADS;
const FEED_FORWARD: usize = 224;
const CONTEXT: u32 = 1024;

/// Where a random tensor's numbers come from: mean and standard deviation.
#[derive(Clone, Copy)]
enum Fill {
    /// A matrix that keeps the magnitude of what it multiplies: standard deviation 1/√inputs.
    Matrix,
    /// A norm's weight, around 1.
    Norm,
    /// A bias large enough to be missed.
    Bias,
    /// The embedding table.
    Table,
}

/// A tensor of a block: name, dimensions innermost first, contents.
type Row = (&'static str, &'static [usize], Fill);

const BLOCK: &[Row] = &[
    ("attn_norm.weight", &[EMBEDDING], Fill::Norm),
    (
        "attn_q.weight",
        &[EMBEDDING, HEADS * HEAD_DIM],
        Fill::Matrix,
    ),
    (
        "attn_k.weight",
        &[EMBEDDING, HEADS_KV * HEAD_DIM],
        Fill::Matrix,
    ),
    (
        "attn_v.weight",
        &[EMBEDDING, HEADS_KV * HEAD_DIM],
        Fill::Matrix,
    ),
    (
        "attn_output.weight",
        &[HEADS * HEAD_DIM, EMBEDDING],
        Fill::Matrix,
    ),
    ("ffn_norm.weight", &[EMBEDDING], Fill::Norm),
    ("ffn_gate.weight", &[EMBEDDING, FEED_FORWARD], Fill::Matrix),
    ("ffn_up.weight", &[EMBEDDING, FEED_FORWARD], Fill::Matrix),
    ("ffn_down.weight", &[FEED_FORWARD, EMBEDDING], Fill::Matrix),
];

const QKV_BIAS: &[Row] = &[
    ("attn_q.bias", &[HEADS * HEAD_DIM], Fill::Bias),
    ("attn_k.bias", &[HEADS_KV * HEAD_DIM], Fill::Bias),
    ("attn_v.bias", &[HEADS_KV * HEAD_DIM], Fill::Bias),
];

/// What sets one architecture apart from another.
struct Plan {
    name: &'static str,
    block: &'static [&'static [Row]],
    own_output: bool,
    rope_freq_base: f32,
    epsilon: f32,
}

impl Architecture {
    /// All of them, with their GGUF names.
    pub const ALL: [(&'static str, Self); 2] = [("llama", Self::Llama), ("qwen2", Self::Qwen2)];

    fn plan(self) -> Plan {
        match self {
            Self::Llama => Plan {
                name: "llama",
                block: &[BLOCK],
                own_output: false,
                rope_freq_base: 10_000.0,
                epsilon: 1e-5,
            },
            Self::Qwen2 => Plan {
                name: "qwen2",
                block: &[BLOCK, QKV_BIAS],
                own_output: true,
                rope_freq_base: 1_000_000.0,
                epsilon: 1e-6,
            },
        }
    }
}

/// Writes a random model with the tokenizer of `donor`, a GGUF file with a BPE tokenizer.
///
/// The same options give the same file.
///
/// # Errors
///
/// The donor has no such tokenizer, or the output cannot be written; then nothing is left behind.
pub fn tiny(
    architecture: Architecture,
    options: &TinyOptions,
    donor: &Path,
    output: &Path,
) -> Result<(), Error> {
    llama::start();
    let plan = architecture.plan();
    let mut file = Gguf::empty();
    describe(&mut file, &plan, options);
    let vocabulary = copy_tokenizer(&mut file, donor, options.vocabulary)?;

    let mut random = StdRng::seed_from_u64(options.seed);
    let mut make = |name: String, ne: &[usize], fill: Fill| {
        let deviation = match fill {
            Fill::Matrix => 1.0 / (ne[0] as f32).sqrt(),
            Fill::Norm => 0.1,
            Fill::Bias | Fill::Table => 0.5,
        };
        let mean = if matches!(fill, Fill::Norm) { 1.0 } else { 0.0 };
        let normal = Normal::new(mean, deviation).expect("a positive deviation");
        let elements: Vec<f32> = (0..ne.iter().product())
            .map(|_| normal.sample(&mut random))
            .collect();
        // ggml wants vectors in f32.
        Tensor::new(name, ne.to_vec(), &elements, options.half && ne.len() > 1)
    };
    let mut tensors = vec![make(
        "token_embd.weight".to_owned(),
        &[EMBEDDING, vocabulary],
        Fill::Table,
    )];
    for layer in 0..options.layers {
        for (name, ne, fill) in plan.block.iter().copied().flatten() {
            tensors.push(make(format!("blk.{layer}.{name}"), ne, *fill));
        }
    }
    tensors.push(make(
        "output_norm.weight".to_owned(),
        &[EMBEDDING],
        Fill::Norm,
    ));
    if plan.own_output {
        tensors.push(make(
            "output.weight".to_owned(),
            &[EMBEDDING, vocabulary],
            Fill::Matrix,
        ));
    }
    write_whole(output, |partial| file.write(&tensors, partial))
}

fn describe(file: &mut Gguf, plan: &Plan, options: &TinyOptions) {
    let size = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let key = |name: &str| format!("{}.{name}", plan.name);
    file.set_text("general.architecture", plan.name);
    file.set_text(
        "general.name",
        &format!("tiny random {} (seed {})", plan.name, options.seed),
    );
    file.set_u32(&key("block_count"), size(options.layers));
    file.set_u32(&key("context_length"), CONTEXT);
    file.set_u32(&key("embedding_length"), size(EMBEDDING));
    file.set_u32(&key("feed_forward_length"), size(FEED_FORWARD));
    file.set_u32(&key("attention.head_count"), size(HEADS));
    file.set_u32(&key("attention.head_count_kv"), size(HEADS_KV));
    file.set_u32(&key("rope.dimension_count"), size(HEAD_DIM));
    file.set_f32(&key("rope.freq_base"), plan.rope_freq_base);
    file.set_f32(&key("attention.layer_norm_rms_epsilon"), plan.epsilon);
    file.set_u32("general.file_type", u32::from(options.half));
}

/// Copies the first `keep` tokens of a BPE tokenizer, and the merges whose parts and result are among them.
/// Returns how many there are.
fn copy_tokenizer(file: &mut Gguf, donor: &Path, keep: usize) -> Result<usize, Error> {
    let source = Gguf::open(donor)?;
    let missing = |what: &str| Error::Model {
        path: donor.to_owned(),
        message: format!(
            "has no `{what}`; expected a model with a BPE tokenizer, such as SmolLM2 or Qwen2.5"
        ),
    };
    let tokens_key = "tokenizer.ggml.tokens";
    let mut tokens = source
        .texts(tokens_key)
        .ok_or_else(|| missing(tokens_key))?;
    let types_key = "tokenizer.ggml.token_type";
    let mut types = source.i32s(types_key).ok_or_else(|| missing(types_key))?;
    let merges_key = "tokenizer.ggml.merges";
    let merges = source
        .texts(merges_key)
        .ok_or_else(|| missing(merges_key))?;
    tokens.truncate(keep);
    types.truncate(keep);
    let known: std::collections::HashSet<&str> = tokens.iter().map(String::as_str).collect();
    let kept = |merge: &String| {
        merge.split_once(' ').is_some_and(|(left, right)| {
            known.contains(left)
                && known.contains(right)
                && known.contains(format!("{left}{right}").as_str())
        })
    };
    let merges: Vec<String> = merges.into_iter().filter(kept).collect();

    file.set_text("tokenizer.ggml.model", "gpt2");
    if let Some(pre) = source.text("tokenizer.ggml.pre") {
        file.set_text("tokenizer.ggml.pre", &pre);
    }
    file.set_texts(tokens_key, &tokens);
    file.set_i32s(types_key, &types);
    file.set_texts(merges_key, &merges);
    for role in ["bos", "eos", "padding", "unknown"] {
        let key = format!("tokenizer.ggml.{role}_token_id");
        if let Some(id) = source.u32(&key).filter(|id| (*id as usize) < tokens.len()) {
            file.set_u32(&key, id);
        }
    }
    file.set_bool("tokenizer.ggml.add_bos_token", false);
    Ok(tokens.len())
}
