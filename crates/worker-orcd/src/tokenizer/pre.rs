//! Pre-tokenizers: how a text is cut into words before byte-pair merging.
//!
//! A GGUF names its pre-tokenizer in `tokenizer.ggml.pre`; the patterns themselves are not in the file.
//! Each row has the patterns that llama.cpp applies for that name, one after the other, each inside the
//! pieces that the one before left (`llm_tokenizer_bpe` in its `llama-vocab.cpp`).

/// Contractions, words with the space before them, numbers, signs, spaces: GPT-2's pattern.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// As GPT-2's, with contractions of either case, line ends kept together, and digits one by one.
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// As Qwen2's, with digits in groups of up to three.
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// One pre-tokenizer.
#[derive(Debug)]
pub struct PreTokenizer {
    /// Value of `tokenizer.ggml.pre`.
    pub name: &'static str,
    /// Patterns, applied in this order.
    pub patterns: &'static [&'static str],
    /// A word that is in the vocabulary is taken whole, whatever the merges would do.
    pub ignore_merges: bool,
    /// Whether a beginning-of-sequence token goes before the text when the file does not say.
    pub add_bos: bool,
}

/// Every pre-tokenizer that the engine knows.
pub const PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer {
        name: "default",
        patterns: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        name: "gpt-2",
        patterns: &[GPT2],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        name: "llama-bpe",
        patterns: &[LLAMA3],
        ignore_merges: true,
        add_bos: true,
    },
    PreTokenizer {
        name: "qwen2",
        patterns: &[QWEN2],
        ignore_merges: false,
        add_bos: false,
    },
    PreTokenizer {
        name: "smollm",
        patterns: &[r"\p{N}", GPT2],
        ignore_merges: false,
        add_bos: false,
    },
];

impl PreTokenizer {
    /// The pre-tokenizer of this name; llama.cpp treats a missing or empty name as `default`.
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = if name.is_empty() { "default" } else { name };
        PRE_TOKENIZERS.iter().find(|pre| pre.name == name)
    }
}
