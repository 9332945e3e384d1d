//! The tokenizer agrees with llama.cpp's on texts that tokenizers get wrong, for every pre-tokenizer.
//!
//! The expected ids are computed by llama.cpp in the test, from the same file.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test tells by panicking and printing"
)]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use common::{smollm2, worker};
use ggml_capture::llama::{LoadOptions, Model};
use worker_orcd::gguf::GgufFile;
use worker_orcd::tokenizer::{PRE_TOKENIZERS, Tokenizer};

/// Texts that tokenizers get wrong.
const TEXTS: &[&str] = &[
    "",
    " ",
    "  ",
    "          ",
    "\n",
    "\n\n\n",
    "\r\n",
    "\r\n\r\n  \r\n",
    "\t",
    "\t\t x\t",
    " leading",
    "trailing ",
    "   three leading",
    "three trailing   ",
    "two  spaces   three",
    "Write a haiku about GPU computing",
    "Hello, world!",
    "hello_world snake_case camelCase SCREAMING_CASE",
    "don't can't I'm we've you'll she'd it's O'Brien rock'n'roll",
    "DON'T CAN'T I'M WE'VE YOU'LL SHE'D IT'S",
    "’s ’t curly don’t",
    "1",
    "12",
    "123",
    "1234567890",
    "3.14159 -2.5e-10 1,000,000 0xFF 1e5",
    "in 2024 and 1999, room42b",
    "١٢٣ ४५६ ৭৮৯ Ⅷ ½ ²³",
    "x = y + z * (a - b) / c % d ** 2;",
    "if (a <= b && c >= d || !e) { return f[0]->g; }",
    "fn main() {\n    println!(\"{}\", 1 << 3);\n}\n",
    "def f(x):\n\treturn x  # comment\n\n\n",
    "<html><body class=\"x\">&amp;</body></html>",
    "https://example.org/path?query=1&other=2#fragment",
    "user@example.org",
    "~`!@#$%^&*()_+-={}|[]\\:\";'<>?,./",
    "...---... !!! ??? $$$ +++ === ^^^ ~~~ |||",
    "Ünïcödé Ångström naïve façade Straße",
    "e\u{301} a\u{308} n\u{303}o\u{302} z\u{335}\u{336}\u{337}",
    "\u{301}starts with a combining mark",
    "Здравствуй, мир! Привет",
    "Γειά σου Κόσμε",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "你好，世界！",
    "こんにちは世界。カタカナ",
    "안녕하세요 세계",
    "𝓗𝓮𝓵𝓵𝓸 𐍈 𠜎𠜱",
    "😀 😃😄 🎉",
    "👨‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👍🏽 tone, 🇩🇪🇫🇷",
    "e-mail—dash–en … ellipsis “quotes” «guillemets»",
    "\u{a0}no-break\u{a0}space \u{2003}em\u{2009}thin\u{202f}narrow\u{3000}ideographic",
    "zero\u{200b}width\u{200d}joiner\u{feff}bom",
    "\u{85}next line\u{2028}line separator\u{2029}paragraph",
    "\0nul \u{1}\u{2}\u{4}\u{8}\u{b}\u{c}\u{1b}[0m\u{7f}",
    "\u{ad}soft\u{ad}hyphen",
    "\u{e000}private \u{fffd}replacement \u{10ffff}last \u{378}unassigned",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "text<|im_end|>text",
    "<|endoftext|><|endoftext|>",
    "<|im_start|",
    "|im_start|>",
    "< |im_start|>",
    "  <|im_start|>  ",
    "<repo_name>x<reponame><file_sep>y<jupyter_text><empty_output>",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ababababababababababababababababababababababababababababababab",
    "The quick brown fox jumps over the lazy dog. 0123456789",
    "new\nline and \n  indented\r\nwindows\rmac",
    "  \n \t\n  mixed \r\n whitespace \n\n",
    "word\n",
    "word \n",
    "word\n ",
];

/// A word of `length` bytes that no vocabulary has whole.
fn long_word(length: usize) -> String {
    (0..length)
        .map(|i| char::from(b'a' + (i * i % 26) as u8))
        .collect()
}

fn texts() -> Vec<String> {
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    texts.extend([
        long_word(1000),
        " ".repeat(300),
        "ü".repeat(257),
        "9".repeat(100),
    ]);
    texts
}

/// llama.cpp's ids beside the worker's; returns how many texts agree.
fn compare(path: &Path) -> usize {
    let llama = Model::load(
        path,
        LoadOptions {
            vocab_only: true,
            ..LoadOptions::default()
        },
    )
    .unwrap();
    let file = GgufFile::open(path).unwrap();
    let tokenizer = Tokenizer::from_metadata(file.metadata()).unwrap();
    let mut agree = 0;
    for text in texts() {
        let expected: Vec<u32> = llama
            .tokenize(&text)
            .unwrap()
            .iter()
            .map(|id| *id as u32)
            .collect();
        let found = tokenizer.encode(&text).unwrap();
        assert_eq!(found, expected, "{}: {text:?}", path.display());
        // Both ways: what it decodes to is what llama.cpp says, lost bytes included.
        let signed: Vec<i32> = expected.iter().map(|id| *id as i32).collect();
        assert_eq!(
            tokenizer.decode(&found),
            llama.text(&signed),
            "{}: decoding {text:?}",
            path.display()
        );
        agree += 1;
    }
    agree
}

/// SmolLM2's vocabulary and merges under the name of another pre-tokenizer, with one small tensor.
fn with_pre(source: &Path, folder: &Path, pre: &str) -> PathBuf {
    let mut reader = File::open(source).unwrap();
    let content = gguf_file::Content::read(&mut reader).unwrap();
    let tensor = content
        .tensor(&mut reader, "output_norm.weight", &candle_core::Device::Cpu)
        .unwrap();
    let value = Value::String(pre.to_owned());
    let metadata: Vec<(&str, &Value)> = content
        .metadata
        .iter()
        // Whether a beginning-of-sequence token is added is left to the pre-tokenizer's default.
        .filter(|(key, _)| key.as_str() != "tokenizer.ggml.add_bos_token")
        .map(|(key, stored)| {
            (
                key.as_str(),
                if key == "tokenizer.ggml.pre" {
                    &value
                } else {
                    stored
                },
            )
        })
        .collect();
    let path = folder.join(format!("{pre}.gguf"));
    let mut file = File::create(&path).unwrap();
    gguf_file::write(&mut file, &metadata, &[("output_norm.weight", &tensor)]).unwrap();
    path
}

#[test]
fn smollm2_as_it_is() {
    let Some(model) = smollm2() else { return };
    let agree = compare(&model);
    println!("{agree} texts agree");
    assert!(agree >= 50);
}

#[test]
fn every_pre_tokenizer() {
    let Some(model) = smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    for pre in PRE_TOKENIZERS {
        let agree = compare(&with_pre(&model, folder.path(), pre.name));
        println!("{}: {agree} texts agree", pre.name);
    }
}

#[test]
fn an_unknown_pre_tokenizer_is_named_with_the_known_ones() {
    let Some(model) = smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = with_pre(&model, folder.path(), "tekken");
    let output = worker(None, &["tokenize", "-m", path.to_str().unwrap(), "text"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["`tekken`", "smollm", "llama-bpe", "--force-tokens"] {
        assert!(message.contains(part), "no {part} in: {message}");
    }
}
