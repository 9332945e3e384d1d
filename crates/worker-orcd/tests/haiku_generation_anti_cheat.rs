//! Generates a haiku about a word that is chosen while the test runs, with llama.cpp and with the worker:
//! both continue the same prompt on the same F32 weights, and their tokens must be equal one for one.
//!
//! No answer is stored anywhere. The word comes from the system's randomness, so that a text recorded
//! earlier, by whichever engine, would be about another one; and what is compared are the ids that the
//! model picked, not whether the text reads well.
//!
//! With the feature `cuda` the worker computes on the first GPU; llama.cpp on the processor always.
//!
//! `REQUIRE_REAL_LLAMA=1` makes a missing model a failure instead of a skip.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test tells by panicking and printing"
)]

mod common;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use candle_core::DType;
use common::{Reference, smollm2_as};
use ggml_capture::models::Weights;
use worker_orcd::describe::{Description, describe};
use worker_orcd::generate::{Script, generate};
use worker_orcd::gguf::GgufFile;
use worker_orcd::model::{KvType, MatMul, Model};
use worker_orcd::ops::Engine;
use worker_orcd::place::{DeviceName, Place};
use worker_orcd::tokenizer::Tokenizer;

/// Things that a haiku can be about.
const NOUNS: [&str; 16] = [
    "lantern", "glacier", "violin", "compass", "orchard", "teapot", "falcon", "harbour", "meadow",
    "copper", "thunder", "willow", "pebble", "sparrow", "tunnel", "marble",
];

/// A noun and a number, 16 000 of them.
fn chosen_now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // The keys of a `RandomState` come from the operating system's source of randomness.
    let random = RandomState::new().hash_one(now.as_nanos());
    let noun = NOUNS[(random % NOUNS.len() as u64) as usize];
    format!("{noun} {}", random / NOUNS.len() as u64 % 1000)
}

/// The prompt as a chat, in SmolLM2's form of it.
fn prompt(word: &str) -> String {
    format!(
        "<|im_start|>user\nWrite a haiku about GPU computing that contains the word \"{word}\"<|im_end|>\n\
         <|im_start|>assistant\n"
    )
}

/// The engine for a model.
type EngineOf = fn(&mut GgufFile) -> Engine;

/// What an engine made of a prompt.
struct Haiku {
    prompt: Vec<u32>,
    picks: Vec<u32>,
    text: String,
}

/// Where the worker computes: with the feature `cuda` on the first GPU. Without one it says so and the processor does, unless
/// `REQUIRE_CUDA=1` makes that a failure.
fn place() -> (DeviceName, Place) {
    if cfg!(feature = "cuda") {
        match Place::open(DeviceName::Cuda(0), DType::F32) {
            Ok(place) => return (DeviceName::Cuda(0), place),
            Err(error) => {
                assert!(
                    std::env::var("REQUIRE_CUDA").is_err(),
                    "REQUIRE_CUDA is set: {error}"
                );
                eprintln!("NO GPU, the worker computes on the processor: {error}");
            }
        }
    }
    (DeviceName::Cpu, Place::default())
}

/// The worker's haiku, with nothing of the reference given to it.
///
/// In this process, so that with `ORCH_LOG_FILE` set the engine logs its run as any other engine would.
fn worker(model: &Path, engine: EngineOf, prompt: &str, picks: usize) -> Haiku {
    let mut file = GgufFile::open(model).unwrap();
    let engine = engine(&mut file);
    let tokenizer = Tokenizer::from_metadata(file.metadata()).unwrap();
    let ids = tokenizer.encode(prompt).unwrap();
    let script = Script::new(Some(ids.clone()), None, Some(picks), picks).unwrap();
    let (device, place) = place();
    println!("device:    {device}");
    let (matmul, kv_type) = (MatMul::Dequantized, KvType::F32);
    let model = Model::load(&mut file, matmul, place, engine, &mut |_, _| ()).unwrap();
    let continuation = generate(&model, &script, kv_type, false, &mut |_, _| Ok(())).unwrap();
    let description = Description {
        file: &file,
        sha256: None,
        model: &model,
        prompt: Some(prompt),
        device,
        matmul,
        kv_type,
        forced: false,
        fault: None,
    };
    let all: Vec<u32> = ids.iter().chain(&continuation.own).copied().collect();
    describe(&description, &all).unwrap();
    Haiku {
        text: tokenizer.decode(&continuation.own),
        prompt: ids,
        picks: continuation.own,
    }
}

/// llama.cpp's haiku.
fn llama(model: &Path, prompt: &str, picks: usize) -> Haiku {
    let folder = tempfile::tempdir().unwrap();
    let summary = Reference {
        model,
        prompt,
        picks,
    }
    .run(&folder.path().join("llama.jsonl"));
    let ids = |ids: &[i32]| ids.iter().map(|id| u32::try_from(*id).unwrap()).collect();
    Haiku {
        prompt: ids(&summary.prompt_tokens),
        picks: ids(&summary.continuation),
        text: summary.text,
    }
}

fn both_engines_write_the_same_haiku(picks: usize) {
    let Some(model) = smollm2_as("F32", Weights::F32) else {
        return;
    };
    let word = chosen_now();
    let prompt = prompt(&word);
    println!("word:      {word}");
    // The worker goes first: it cannot have seen what llama.cpp is going to write.
    let own = worker(&model, |_| Engine::default(), &prompt, picks);
    println!("worker:    {:?}", own.text);
    let expected = llama(&model, &prompt, picks);
    println!("llama.cpp: {:?}", expected.text);

    assert_eq!(own.prompt, expected.prompt, "tokens of the prompt");
    assert_eq!(expected.picks.len(), picks);
    assert_eq!(
        own.picks, expected.picks,
        "picks of the haiku on {word:?}: {:?} instead of {:?}",
        own.text, expected.text
    );
    // An engine that repeats a token or two would make equality easy. Greedy picks of a small model do repeat
    // phrases, and 19 of 64 have been seen.
    let distinct: BTreeSet<_> = own.picks.iter().collect();
    assert!(
        distinct.len() >= 5,
        "{} different tokens among {picks}: no text",
        distinct.len()
    );
    println!(
        "{picks} picks are equal, {} of them different",
        distinct.len()
    );
}

#[test]
fn a_haiku_of_twelve_tokens() {
    both_engines_write_the_same_haiku(12);
}

#[test]
#[ignore = "long: 64 tokens from both engines; the quick start's command runs it"]
fn a_whole_haiku() {
    both_engines_write_the_same_haiku(64);
}

/// The comparison can fail: an engine with one wrong function does not write llama.cpp's haiku.
#[cfg(feature = "faults")]
#[test]
fn a_wrong_engine_writes_another_haiku() {
    use worker_orcd::faults::{FaultSpec, Planted};

    let Some(model) = smollm2_as("F32", Weights::F32) else {
        return;
    };
    let prompt = prompt(&chosen_now());
    let engine: EngineOf = |file| {
        let spec = FaultSpec::parse("gelu-for-silu", None, None).unwrap();
        Planted::new(&spec, file).unwrap()
    };
    let wrong = worker(&model, engine, &prompt, 12);
    let expected = llama(&model, &prompt, 12);
    println!(
        "wrong:     {:?}\nllama.cpp: {:?}",
        wrong.text, expected.text
    );
    assert_eq!(wrong.prompt, expected.prompt, "tokens of the prompt");
    assert_ne!(wrong.picks, expected.picks);
}
