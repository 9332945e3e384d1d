//! The tokenizer of a tiny model: the first tokens of a real one.

use std::collections::HashSet;
use std::path::Path;

use super::super::gguf::Gguf;
use crate::Error;

/// Copies the first `keep` tokens of a BPE tokenizer, and the merges whose parts and result are among them.
/// Returns how many there are.
pub(super) fn copy(file: &mut Gguf, donor: &Path, keep: usize) -> Result<usize, Error> {
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
    let known: HashSet<&str> = tokens.iter().map(String::as_str).collect();
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
