//! Tiny random models, for tests that need every operation but no sense.

mod plan;
mod table;
mod tokenizer;

pub use plan::Architecture;

use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};

use super::gguf::{Gguf, Tensor};
use super::write_whole;
use crate::Error;
use crate::llama;
use plan::{Fill, Plan, Value};

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
    let vocabulary = tokenizer::copy(&mut file, donor, options.vocabulary)?;

    let mut random = StdRng::seed_from_u64(options.seed);
    let mut make = |name: String, (_, ne, fill): &plan::Row| {
        let ne: Vec<usize> = ne.iter().map(|size| plan.size(*size, vocabulary)).collect();
        let (mean, deviation) = match fill {
            Fill::Matrix => (0.0, 1.0 / (ne[0] as f32).sqrt()),
            Fill::Around1 => (1.0, 0.1),
            Fill::Bias | Fill::Table => (0.0, 0.5),
        };
        let normal = Normal::new(mean, deviation).expect("a positive deviation");
        let elements: Vec<f32> = (0..ne.iter().product())
            .map(|_| normal.sample(&mut random))
            .collect();
        // Vectors and learned positions stay in f32, as llama.cpp's converters leave them.
        let half = options.half && ne.len() > 1 && name != "position_embd.weight";
        Tensor::new(name, ne, &elements, half)
    };
    let mut tensors = Vec::new();
    for row in plan.before {
        tensors.push(make(row.0.to_owned(), row));
    }
    for layer in 0..options.layers {
        for row in plan.block.iter().copied().flatten() {
            tensors.push(make(format!("blk.{layer}.{}", row.0), row));
        }
    }
    for row in plan.after {
        tensors.push(make(row.0.to_owned(), row));
    }
    write_whole(output, |partial| file.write(&tensors, partial))
}

fn describe(file: &mut Gguf, plan: &Plan, options: &TinyOptions) {
    let size = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let key = |name: &str| format!("{}.{name}", plan.name);
    file.set_text("general.architecture", plan.name);
    // Without the architecture: llama.cpp takes a name with `phi3` in it for a promise of Phi-3's tokenizer.
    file.set_text(
        "general.name",
        &format!("tiny random model (seed {})", options.seed),
    );
    file.set_u32("general.file_type", u32::from(options.half));
    file.set_u32(&key("block_count"), size(options.layers));
    for (name, value) in plan.metadata.iter().copied().flatten() {
        match value {
            Value::Size(value) => file.set_u32(&key(name), size(plan.size(*value, 0))),
            Value::Count(value) => file.set_u32(&key(name), *value),
            Value::Number(value) => file.set_f32(&key(name), *value),
        }
    }
}
