//! What a GGUF file contains.

use std::collections::BTreeMap;
use std::path::Path;

use super::gguf::Gguf;
use crate::Error;

/// What a GGUF file contains, without its weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`.
    pub name: Option<String>,
    /// Blocks.
    pub layers: Option<u32>,
    /// Elements of the residual stream.
    pub embedding: Option<u32>,
    /// Query heads.
    pub heads: Option<u32>,
    /// Key and value heads.
    pub heads_kv: Option<u32>,
    /// Longest sequence that the model was made for.
    pub context: Option<u32>,
    /// Frequency base of the rotation.
    pub rope_freq_base: Option<f32>,
    /// The epsilon of RMS or layer normalisation.
    pub norm_epsilon: Option<f32>,
    /// Tokens in the vocabulary.
    pub vocabulary: Option<usize>,
    /// `tokenizer.ggml.model` and `tokenizer.ggml.pre`.
    pub tokenizer: Option<(String, Option<String>)>,
    /// Storage types of the tensors, by ggml's name.
    pub types: BTreeMap<String, TensorType>,
}

/// All tensors of one storage type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TensorType {
    /// Tensors.
    pub tensors: usize,
    /// Elements in all of them.
    pub elements: u64,
    /// Bytes in the file.
    pub bytes: u64,
}

impl Inspection {
    /// The storage type that most weights have, `q4_1`. Vectors (norms, biases) are always `f32` and do not count for
    /// much: elements decide.
    pub fn weights(&self) -> Option<&str> {
        self.types
            .iter()
            .max_by_key(|(_, kind)| kind.elements)
            .map(|(name, _)| name.as_str())
    }
}

/// Looks into a GGUF file; reads no weights.
///
/// # Errors
///
/// The file is missing, is not GGUF or is damaged.
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let file = Gguf::open(path)?;
    let architecture = file.text("general.architecture").unwrap_or_default();
    let key = |name: &str| format!("{architecture}.{name}");
    let mut types: BTreeMap<String, TensorType> = BTreeMap::new();
    let length = std::fs::metadata(path)
        .map_err(Error::io("read model", path))?
        .len();
    for tensor in file.tensors() {
        if tensor.end > length {
            let message = format!(
                "is cut off: it has {length} bytes, but a tensor ends at byte {}",
                tensor.end
            );
            return Err(Error::Model {
                path: path.to_owned(),
                message,
            });
        }
        let kind = types.entry(tensor.type_name).or_default();
        kind.tensors += 1;
        kind.elements += tensor.ne.iter().product::<usize>() as u64;
        kind.bytes += tensor.n_bytes as u64;
    }
    Ok(Inspection {
        name: file.text("general.name"),
        layers: file.u32(&key("block_count")),
        embedding: file.u32(&key("embedding_length")),
        heads: file.u32(&key("attention.head_count")),
        heads_kv: file.u32(&key("attention.head_count_kv")),
        context: file.u32(&key("context_length")),
        rope_freq_base: file.f32(&key("rope.freq_base")),
        norm_epsilon: file
            .f32(&key("attention.layer_norm_rms_epsilon"))
            .or_else(|| file.f32(&key("attention.layer_norm_epsilon"))),
        vocabulary: file
            .texts("tokenizer.ggml.tokens")
            .map(|tokens| tokens.len()),
        tokenizer: file
            .text("tokenizer.ggml.model")
            .map(|model| (model, file.text("tokenizer.ggml.pre"))),
        types,
        architecture,
    })
}
