//! The tokenizer itself.

use std::collections::HashMap;

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{SplitDelimiterBehavior, TokenizerImpl};

use super::bytes::{alphabet, byte};
use super::pre::{PRE_TOKENIZERS, PreTokenizer};
use super::special::{Fragment, partition};
use crate::error::{Error, Result};
use crate::gguf::Metadata;

/// Values of `tokenizer.ggml.token_type` (`llama_token_type` in llama.cpp) whose text stands for itself and is
/// looked for in the input: unknown, control, user-defined.
const SPECIAL_TYPES: [u64; 3] = [2, 3, 4];

/// Words to tokens, without normaliser, special tokens or decoder.
type Words = TokenizerImpl<
    BPE,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    tokenizers::decoders::DecoderWrapper,
>;

/// Text to token ids and back.
pub struct Tokenizer {
    /// Byte-pair merging of a text without special tokens.
    words: Words,
    /// Special tokens, the longest first.
    special: Vec<(String, u32)>,
    /// The tokens' texts by id, as the file has them.
    texts: Vec<String>,
    /// Whether a token's text is literal, not byte-encoded.
    literal: Vec<bool>,
    bos: Option<u32>,
}

impl Tokenizer {
    /// Builds the tokenizer that a GGUF describes.
    ///
    /// # Errors
    ///
    /// When the file has none, or one of a kind that the engine does not know.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let model = metadata.text("tokenizer.ggml.model")?.unwrap_or("");
        if model != "gpt2" {
            return Err(Error::Tokenizer(format!(
                "tokenizer model `{model}` is not supported, only byte-level BPE (`gpt2`); \
                 token ids given with --prompt-tokens or --force-tokens need no tokenizer"
            )));
        }
        let name = metadata.text("tokenizer.ggml.pre")?.unwrap_or("");
        let pre = PreTokenizer::find(name).ok_or_else(|| unknown_pre(name))?;
        let key = "tokenizer.ggml.tokens";
        let texts = metadata.require(key, metadata.texts(key)?)?;
        let key = "tokenizer.ggml.merges";
        let merges = metadata.require(key, metadata.texts(key)?)?;
        let types = metadata
            .unsigneds("tokenizer.ggml.token_type")?
            .unwrap_or_default();
        let literal: Vec<bool> = (0..texts.len())
            .map(|id| {
                types
                    .get(id)
                    .is_some_and(|kind| SPECIAL_TYPES.contains(kind))
            })
            .collect();
        let mut special: Vec<(String, u32)> = texts
            .iter()
            .zip(0..)
            .zip(&literal)
            .filter(|((text, _), literal)| **literal && !text.is_empty())
            .map(|((text, id), _)| ((*text).to_owned(), id))
            .collect();
        special.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));

        let id = |key: &str| -> Result<Option<u32>> {
            Ok(metadata
                .unsigned(key)?
                .and_then(|id| u32::try_from(id).ok()))
        };
        let add_bos = metadata
            .flag("tokenizer.ggml.add_bos_token")?
            .unwrap_or(pre.add_bos);
        let bos = id("tokenizer.ggml.bos_token_id")?;
        Ok(Self {
            words: words(pre, &texts, &merges)?,
            special,
            literal,
            bos: if add_bos {
                Some(bos.ok_or_else(no_bos)?)
            } else {
                None
            },
            texts: texts.into_iter().map(str::to_owned).collect(),
        })
    }

    /// The token ids of `text`: the beginning-of-sequence token if the model wants one, and special
    /// tokens where their text stands in the input.
    ///
    /// # Errors
    ///
    /// When the underlying tokenizer fails, which no text should make it do.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids: Vec<u32> = self.bos.into_iter().collect();
        for fragment in partition(text, &self.special) {
            match fragment {
                Fragment::Token(id) => ids.push(id),
                Fragment::Text(text) => {
                    let encoding = self.words.encode_fast(text, false).map_err(|error| {
                        Error::Tokenizer(format!("cannot tokenize {text:?}: {error}"))
                    })?;
                    ids.extend_from_slice(encoding.get_ids());
                }
            }
        }
        Ok(ids)
    }

    /// The text of `ids`; bytes that are no UTF-8 become U+FFFD, unknown ids become `[id]`.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            match (self.texts.get(id as usize), self.literal.get(id as usize)) {
                (Some(text), Some(true)) => bytes.extend_from_slice(text.as_bytes()),
                (Some(text), _) => bytes.extend(text.chars().filter_map(byte)),
                (None, _) => bytes.extend_from_slice(format!("[{id}]").as_bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn words(pre: &PreTokenizer, texts: &[&str], merges: &[&str]) -> Result<Words> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::Tokenizer(format!("cannot build the tokenizer: {error}"))
    };
    let vocabulary: HashMap<String, u32> = texts
        .iter()
        .map(|text| (*text).to_owned())
        .zip(0..)
        .collect();
    let merges = merges
        .iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(wrong(&format_args!("merge `{merge}` is not two parts"))),
        })
        .collect::<Result<Vec<_>>>()?;
    let missing = missing_bytes(&vocabulary);
    let model = BPE::builder()
        .vocab_and_merges(
            vocabulary
                .into_iter()
                .collect::<tokenizers::models::bpe::Vocab>(),
            merges,
        )
        .ignore_merges(pre.ignore_merges)
        .build()
        .map_err(|error| wrong(&error))?;
    let split = |pattern: &str, behavior| {
        let pattern = SplitPattern::Regex(pattern.to_owned());
        Split::new(pattern, behavior, false)
            .map(PreTokenizerWrapper::from)
            .map_err(|error| wrong(&error))
    };
    let mut steps = Vec::new();
    for pattern in pre.patterns {
        steps.push(split(pattern, SplitDelimiterBehavior::Isolated)?);
    }
    // The splitting is done; this only writes bytes as characters.
    steps.push(ByteLevel::new(false, false, false).into());
    if let Some(pattern) = missing {
        steps.push(split(&pattern, SplitDelimiterBehavior::Removed)?);
    }
    let mut words = TokenizerImpl::new(model);
    words.with_pre_tokenizer(Some(PreTokenizerWrapper::from(Sequence::new(steps))));
    Ok(words)
}

/// A pattern for the byte characters that have no token; `None` when all have one.
///
/// llama.cpp leaves such bytes out. So does the library, but it would merge what stands on either side.
fn missing_bytes(vocabulary: &HashMap<String, u32>) -> Option<String> {
    let missing: String = alphabet()
        .into_iter()
        .filter(|character| !vocabulary.contains_key(character.encode_utf8(&mut [0; 4]) as &str))
        .map(|character| format!("\\x{{{:x}}}", u32::from(character)))
        .collect();
    (!missing.is_empty()).then(|| format!("[{missing}]"))
}

fn unknown_pre(name: &str) -> Error {
    let known: Vec<_> = PRE_TOKENIZERS.iter().map(|pre| pre.name).collect();
    Error::Tokenizer(format!(
        "pre-tokenizer `{name}` (`tokenizer.ggml.pre`) is not supported; worker-orcd knows {}; \
         token ids given with --prompt-tokens or --force-tokens need no tokenizer",
        known.join(", "),
    ))
}

fn no_bos() -> Error {
    Error::Tokenizer(
        "the model wants a beginning-of-sequence token, but the file has no `tokenizer.ggml.bos_token_id`".to_owned(),
    )
}
