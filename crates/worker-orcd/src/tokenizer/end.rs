//! Which tokens end a generation.

use crate::error::Result;
use crate::gguf::Metadata;

/// Metadata that name such a token.
const KEYS: [&str; 6] = [
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];

/// Texts of tokens that end a generation whatever the metadata say.
///
/// # Source
///
/// `special_eog_ids` and the detection of fill-in-the-middle tokens by their text in llama.cpp's
/// `llama-vocab.cpp`, as far as byte-level vocabularies have such tokens. Where a vocabulary has two texts
/// for one role of fill-in-the-middle, llama.cpp takes the one that its hash table yields first; here both end.
const TEXTS: [&str; 27] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

/// The tokens that end a generation.
///
/// # Errors
///
/// When the metadata hold something else than ids.
pub(super) fn ends(metadata: &Metadata, texts: &[&str]) -> Result<Vec<u32>> {
    let mut ends: Vec<u32> = texts
        .iter()
        .zip(0..)
        .filter(|(text, _)| TEXTS.contains(text))
        .map(|(_, id)| id)
        .collect();
    for key in KEYS {
        let id = metadata
            .unsigned(key)?
            .and_then(|id| u32::try_from(id).ok());
        ends.extend(id.filter(|id| (*id as usize) < texts.len()));
    }
    Ok(ends)
}
