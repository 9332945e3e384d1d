//! A run as a whole: it does not perturb what it watches, follows forced tokens, agrees with itself, and says
//! what is wrong with its input.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{Tensor, capture, config, read, smollm2, tiny_model};
use ggml_capture::llama::{Context, ContextOptions, FlashAttention, KvType, LoadOptions, Model};
use ggml_capture::models::{Architecture, Weights, convert, inspect};
use ggml_capture::{Error, run};
use orch_log::forced::Forced;

fn last<'t>(records: &'t [Tensor], checkpoint: &str) -> &'t Tensor {
    records
        .iter()
        .rev()
        .find(|tensor| tensor.record.checkpoint == checkpoint)
        .unwrap()
}

/// Bits of the prompt's last logits without any callback.
fn unwatched(model: &Path, prompt: &str) -> Vec<u32> {
    let model = Model::load(model, LoadOptions::default()).unwrap();
    let tokens = model.tokenize(prompt).unwrap();
    let options = ContextOptions {
        n_ctx: tokens.len() + 4,
        n_ubatch: tokens.len(),
        n_seq: 1,
        threads: 1,
        kv_type: KvType::F32,
        flash_attn: FlashAttention::Off,
    };
    let cancel = AtomicBool::new(false);
    let mut context = Context::new(&model, &options, &cancel).unwrap();
    context.decode(&tokens, 0).unwrap();
    context
        .last_logits()
        .unwrap()
        .iter()
        .map(|logit| logit.to_bits())
        .collect()
}

#[test]
fn capturing_changes_no_bit_of_the_logits() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("ref.jsonl");
    let mut full = config(&smollm2(), &trace);
    full.n_predict = Some(1);
    let expected = unwatched(&smollm2(), full.prompt.as_ref().unwrap());
    for filter in ["*", "logits"] {
        full.log.filter = orch_log::Filter::new(filter);
        capture(&full);
        let records = read(&trace);
        let logits = &last(&records, "logits").data;
        let found: Vec<u32> = logits[logits.len() - expected.len()..]
            .iter()
            .map(|logit| logit.to_bits())
            .collect();
        assert!(found == expected, "with the filter {filter}");
    }
}

#[test]
fn a_run_that_checks_its_logits_says_that_they_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Llama);
    let trace = folder.path().join("checked.jsonl");
    let mut checked = config(&model, &trace);
    checked.n_ubatch = Some(3);
    checked.check_logits = true;
    let summary = capture(&checked);
    let observer = summary.observer.unwrap();
    assert!(observer.is_exact());
    // All tokens that were fed: the prompt and three picks.
    assert_eq!(observer.rows, summary.prompt_tokens.len() + 3);
    let settings = settings(&trace);
    assert_eq!(settings["capture"], "exact");
    assert!(settings.get("fusion").is_none(), "a word about GPUs");

    checked.check_logits = false;
    assert_eq!(capture(&checked).observer, None);
    assert!(self::settings(&trace).get("capture").is_none());
}

fn settings(trace: &Path) -> serde_json::Value {
    let run = std::fs::read(trace.with_extension("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&run).unwrap();
    run["settings"].clone()
}

#[test]
#[cfg(not(feature = "cuda"))]
fn layers_for_a_gpu_need_one() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Llama);
    let trace = folder.path().join("gpu.jsonl");
    let mut config = config(&model, &trace);
    config.gpu_layers = 2;
    let message = error(&config);
    assert!(message.contains("--features cuda"), "{message}");
    assert!(!trace.exists(), "an older trace stays");
}

#[test]
fn forced_tokens_are_fed_whatever_is_picked() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Llama);
    let (first, second) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl"));
    let mut config = config(&model, &first);
    config.forced = Some(Forced::List(vec![5, 6, 7]));
    config.n_predict = None;
    let summary = capture(&config);
    assert_eq!(summary.continuation[..3], [5, 6, 7]);
    assert_eq!((summary.passes, summary.picks.len()), (4, 4));

    // A trace as the source: same tokens, same numbers, and no prompt needed; another one is refused.
    config.forced = Some(Forced::read(&first).unwrap());
    config.prompt = Some("Something else".to_owned());
    let message = error(&config);
    assert!(
        message.contains("not with the prompt `Something else`"),
        "{message}"
    );
    config.prompt = None;
    config.log.path = second.clone();
    assert_eq!(capture(&config).continuation, summary.continuation);
    let (first, second) = (read(&first), read(&second));
    assert_eq!(first.len(), second.len());
    for (a, b) in first.iter().zip(&second) {
        assert_eq!(
            (&a.record.checkpoint, a.record.token_idx),
            (&b.record.checkpoint, b.record.token_idx)
        );
        assert!(a.data == b.data, "{}", a.record.checkpoint);
    }
}

#[test]
fn fused_attention_hides_checkpoints_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Llama);
    let trace = folder.path().join("fused.jsonl");
    let mut config = config(&model, &trace);
    config.flash_attn = FlashAttention::On;
    config.kv_type = KvType::F16;
    let tally = capture(&config).tally;
    assert_eq!(tally.hidden_by_fusion.len(), 3 * 2);
    assert!(tally.hidden_by_fusion.contains("layer_1_attn_scores"));
    assert!(
        tally.checkpoints.contains("layer_1_attn_context"),
        "{:?}",
        tally.checkpoints
    );
    assert!(!tally.checkpoints.contains("layer_1_attn_scores"));
    let run = std::fs::read_to_string(folder.path().join("fused.run.json")).unwrap();
    assert!(
        run.contains("hidden_by_fusion") && run.contains("layer_2_attn_probs"),
        "{run}"
    );
}

#[test]
fn threads_change_rounding_only() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Llama);
    let (one, two) = (
        folder.path().join("one.jsonl"),
        folder.path().join("two.jsonl"),
    );
    let mut config = config(&model, &one);
    let first = capture(&config);
    config.threads = 2;
    config.log.path = two.clone();
    let second = capture(&config);
    assert_eq!(first.continuation, second.continuation);
    for (a, b) in read(&one).iter().zip(&read(&two)) {
        let close = a
            .data
            .iter()
            .zip(&b.data)
            .all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0));
        assert!(close, "{}", a.record.checkpoint);
    }
}

#[test]
fn the_run_file_says_what_the_run_was() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Qwen2);
    let summary = capture(&config(&model, &folder.path().join("ref.jsonl")));
    let run: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("ref.run.json")).unwrap())
            .unwrap();
    assert_eq!(run["team"], "llama.cpp");
    assert_eq!(run["model"]["architecture"], "qwen2");
    assert_eq!(run["model"]["layers"], 3);
    assert_eq!(run["model"]["weights"], "f32");
    assert_eq!(run["settings"]["kv_type"], "f32");
    let tokens = [summary.prompt_tokens, summary.continuation].concat();
    assert_eq!(run["tokens"], serde_json::json!(tokens));
    let sum = std::process::Command::new("sha256sum")
        .arg(&model)
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(run["model"]["sha256"], sum.split(' ').next().unwrap());
}

#[test]
fn a_chat_prompt_is_the_models_own_template() {
    let model = Model::load(
        &smollm2(),
        LoadOptions {
            vocab_only: true,
            ..LoadOptions::default()
        },
    )
    .unwrap();
    // SmolLM2 was trained on ChatML.
    assert_eq!(
        model.chat("Hi").unwrap(),
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn conversions_keep_the_model_and_change_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Llama);
    for (name, weights) in [("f16", Weights::F16), ("q8_0", Weights::Q8_0)] {
        let output = folder.path().join(format!("{name}.gguf"));
        convert(&model, &output, weights).unwrap();
        let found = inspect(&output).unwrap();
        assert_eq!(found.weights(), Some(name));
        assert_eq!(
            (found.architecture.as_str(), found.layers),
            ("llama", Some(3))
        );
    }
}

fn error(config: &ggml_capture::Config) -> String {
    run(config, &AtomicBool::new(false), &mut |_| ())
        .unwrap_err()
        .to_string()
}

#[test]
fn wrong_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let trace = path("ref.jsonl");

    let message = error(&config(&path("missing.gguf"), &trace));
    assert!(
        message.contains("missing.gguf") && message.contains("No such file"),
        "{message}"
    );

    std::fs::write(path("empty.gguf"), "").unwrap();
    let message = error(&config(&path("empty.gguf"), &trace));
    assert!(
        message.contains("is empty, expected a GGUF file"),
        "{message}"
    );

    std::fs::write(path("text.gguf"), "{\"checkpoint\"").unwrap();
    let message = error(&config(&path("text.gguf"), &trace));
    assert!(
        message.contains("starts with `{\\\"ch`, expected `GGUF`"),
        "{message}"
    );

    let whole = std::fs::read(tiny_model(folder.path(), Architecture::Llama)).unwrap();
    std::fs::write(path("cut.gguf"), &whole[..whole.len() / 2]).unwrap();
    let message = error(&config(&path("cut.gguf"), &trace));
    assert!(
        message.contains("cut.gguf") && message.contains("not within the file bounds"),
        "{message}"
    );

    // An architecture's name of the same length keeps the file valid.
    let mut other = whole.clone();
    let at = other
        .windows(5)
        .position(|window| window == b"llama")
        .unwrap();
    other[at..at + 5].copy_from_slice(b"lxama");
    std::fs::write(path("other.gguf"), &other).unwrap();
    let message = error(&config(&path("other.gguf"), &trace));
    assert!(
        message.contains("unknown model architecture: 'lxama'"),
        "{message}"
    );

    let model = tiny_model(folder.path(), Architecture::Llama);
    let message = error(&config(&model, &path("no/such/folder/ref.jsonl")));
    assert!(message.contains("no/such/folder/ref.jsonl"), "{message}");

    assert!(
        !trace.exists(),
        "an unusable model must not empty an older trace"
    );
    let mut forced = config(&model, &trace);
    forced.forced = Some(Forced::List(vec![100_000]));
    let message = error(&forced);
    assert!(
        message.contains("token 100000 is not in the vocabulary of 512 tokens"),
        "{message}"
    );
}

#[test]
fn a_cancelled_run_leaves_a_valid_trace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("ref.jsonl");
    let cancel = AtomicBool::new(false);
    let mut config = config(&smollm2(), &trace);
    config.n_predict = Some(50);
    let mut passes = 0;
    let outcome = run(&config, &cancel, &mut |progress| {
        if let ggml_capture::Progress::Decoded { .. } = progress {
            passes += 1;
            cancel.store(passes == 2, std::sync::atomic::Ordering::Relaxed);
        }
    });
    assert!(matches!(outcome, Err(Error::Cancelled)));
    let records = read(&trace);
    let logits = records
        .iter()
        .filter(|tensor| tensor.record.checkpoint == "logits")
        .count();
    assert_eq!(logits, 2, "whole passes only");
}
