//! `parity verify` as a process: llama.cpp's own traces follow, whatever the architecture; what was changed does not.
#![cfg(feature = "llama")]
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn parity(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parity"))
        .args(args)
        .current_dir(folder)
        .env_remove("LC_ALL")
        .output()
        .expect("the binary starts")
}

/// The real model that `./test` fetches: the donor of the tiny models' tokenizer.
fn donor() -> PathBuf {
    let path = std::env::var_os("NUMERIC_PARITY_MODEL").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cached = ".cache/numeric-parity/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    let path = path.unwrap_or(home.unwrap_or_default().join(cached));
    assert!(
        path.exists(),
        "no model: run ./test, which fetches it, or set NUMERIC_PARITY_MODEL"
    );
    path
}

fn run(folder: &Path, args: &[&str]) {
    let output = parity(folder, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A tiny model, `model.gguf`, and llama.cpp's trace of it, `ref.jsonl`.
fn captured(architecture: &str, more: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let donor = donor();
    let donor = donor.to_str().unwrap();
    run(
        folder.path(),
        &[
            "models",
            "tiny",
            "model.gguf",
            "-a",
            architecture,
            "-d",
            donor,
        ],
    );
    capture(folder.path(), "model.gguf", more);
    folder
}

fn capture(folder: &Path, model: &str, more: &[&str]) {
    let mut args = vec![
        "capture",
        "llama",
        "-m",
        model,
        "-o",
        "ref.jsonl",
        "-t",
        "1",
        "-n",
        "6",
        "--detail",
        "full",
        "-p",
        "Write a haiku about GPU computing",
    ];
    args.extend(more);
    run(folder, &args);
}

fn verify(folder: &Path, more: &[&str]) -> (i32, Value) {
    let mut args = vec![
        "verify",
        "ref.jsonl",
        "-m",
        "model.gguf",
        "--format",
        "json",
    ];
    args.extend(more);
    let output = parity(folder, &args);
    let result = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("no JSON; {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code().unwrap(), result)
}

/// Verifies a clean trace. Returns the operations.
fn follows(folder: &Path) -> Vec<Value> {
    let (code, result) = verify(folder, &[]);
    assert_eq!(result["culprits"], Value::Array(vec![]), "{result:#}");
    assert_eq!(result["unverified"], Value::Array(vec![]), "{result:#}");
    assert_eq!(result["unknown"], Value::Array(vec![]), "{result:#}");
    assert_eq!((code, result["verdict"].as_str()), (0, Some("follows")));
    result["operations"].as_array().unwrap().clone()
}

/// The architectures, and how many checkpoints but `tokens` each has in three blocks.
const ARCHITECTURES: [(&str, usize); 10] = [
    ("llama", 3 + 3 * 17),
    ("qwen2", 3 + 3 * 17),
    ("qwen3", 3 + 3 * 19),
    ("gpt2", 3 + 3 * 14),
    ("gemma2", 3 + 3 * 19),
    ("gemma3", 3 + 3 * 21),
    ("phi3", 3 + 3 * 17),
    ("mixtral", 3 + 3 * 22),
    ("qwen2moe", 3 + 3 * 28),
    ("qwen3moe", 3 + 3 * 24),
];

fn every_architecture(more: &[&str]) {
    for (architecture, checkpoints) in ARCHITECTURES {
        let folder = captured(architecture, more);
        let operations = follows(folder.path());
        assert_eq!(operations.len(), checkpoints, "{architecture}");
        for operation in operations {
            let relative = operation["relative"].as_f64().unwrap();
            assert!(relative <= 1e-4, "{architecture}: {operation:#}");
        }
    }
}

#[test]
fn every_operation_of_every_architecture_follows() {
    every_architecture(&["--kv-type", "f32"]);
}

#[test]
fn with_a_cache_of_f16_too() {
    every_architecture(&["--kv-type", "f16"]);
}

#[test]
fn quantised_products_are_those_of_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let donor = donor();
    fs::copy(donor, folder.path().join("model.gguf")).unwrap();
    capture(folder.path(), "model.gguf", &[]);
    let operations = follows(folder.path());
    assert_eq!(operations.len(), 3 + 30 * 17);
    let mut products = 0;
    for operation in &operations {
        let relative = operation["relative"].as_f64().unwrap();
        assert!(relative <= 1e-5, "{operation:#}");
        if operation["kind"] == "linear" {
            products += 1;
            assert_eq!(operation["arithmetic"], "engine", "{operation:#}");
            assert!(
                operation["weights"][0]
                    .as_str()
                    .unwrap()
                    .ends_with("weight")
            );
        }
    }
    // Four of attention, three of the feed-forward part, and the logits.
    assert_eq!(products, 30 * 7 + 1);
}

/// Adds `by` to an element of a payload: the first one of the first record of a checkpoint.
fn change(folder: &Path, checkpoint: &str, by: f32) {
    let text = fs::read_to_string(folder.join("ref.jsonl")).unwrap();
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of_checkpoint = records.filter(|record| record["checkpoint"] == checkpoint);
    let payload = of_checkpoint.next().unwrap()["payload"].clone();
    let path = folder.join(payload["file"].as_str().unwrap());
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let offset = payload["offset"].as_u64().unwrap();
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, offset).unwrap();
    let changed = f32::from_le_bytes(bytes) + by;
    file.write_all_at(&changed.to_le_bytes(), offset).unwrap();
}

#[test]
fn what_was_changed_does_not_follow() {
    let folder = captured("qwen2", &["--kv-type", "f32"]);
    change(folder.path(), "layer_1_ffn_act", 0.01);
    let (code, result) = verify(folder.path(), &[]);
    assert_eq!(
        (code, result["verdict"].as_str()),
        (1, Some("does not follow"))
    );
    // It no longer follows from the gate, nor the down projection from it.
    let culprits = ["layer_1_ffn_act", "layer_1_ffn_out"];
    assert_eq!(result["culprits"], serde_json::json!(culprits));
    let wrong = result["operations"].as_array().unwrap();
    let wrong = wrong
        .iter()
        .find(|one| one["checkpoint"] == culprits[0])
        .unwrap();
    assert_eq!(
        (&wrong["position"], &wrong["follows"]),
        (&0.into(), &false.into())
    );

    let (code, result) = verify(folder.path(), &["--checkpoint", "layer_2_*"]);
    assert_eq!(
        (code, result["operations"].as_array().unwrap().len()),
        (0, 17)
    );
    let (code, _) = verify(folder.path(), &["--limit", "100"]);
    assert_eq!(code, 0);

    let text = parity(folder.path(), &["verify", "ref.jsonl", "-m", "model.gguf"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.starts_with("`layer_1_ffn_act` does not follow from its inputs: "),
        "{text}"
    );
    assert!(
        text.ends_with("52 of 54 operations follow from their inputs (1188 rows)\n"),
        "{text}"
    );
}

#[test]
fn another_model_is_not_the_one_that_ran() {
    let folder = captured("llama", &[]);
    let donor = donor();
    let donor = donor.to_str().unwrap();
    run(
        folder.path(),
        &[
            "models",
            "tiny",
            "model.gguf",
            "-a",
            "llama",
            "-d",
            donor,
            "--seed",
            "7",
        ],
    );
    let (code, result) = verify(folder.path(), &[]);
    assert_eq!(code, 1);
    let culprits = result["culprits"].as_array().unwrap();
    let wrong = |name: &str| culprits.iter().any(|culprit| culprit == name);
    assert!(wrong("embedding") && wrong("layer_0_q") && wrong("logits"));
    // What needs no weights still follows.
    assert!(!wrong("layer_0_q_rope") && !wrong("layer_2_attn_probs") && !wrong("layer_2_output"));
}

#[test]
fn fused_attention_is_computed_from_its_ends() {
    let folder = captured("llama", &["--flash-attn", "on"]);
    let operations = follows(folder.path());
    assert_eq!(operations.len(), 3 + 3 * 15);
    let context = operations
        .iter()
        .find(|one| one["checkpoint"] == "layer_1_attn_context");
    let context = context.unwrap();
    let hidden = ["layer_1_attn_scores", "layer_1_attn_probs"];
    assert_eq!(context["through"], serde_json::json!(hidden));
}

#[test]
fn first_elements_are_not_enough() {
    let folder = captured("llama", &[]);
    run(
        folder.path(),
        &[
            "capture",
            "llama",
            "-m",
            "model.gguf",
            "-o",
            "ref.jsonl",
            "-t",
            "1",
            "-n",
            "1",
            "-p",
            "Hello",
            "--detail",
            "values",
        ],
    );
    let (code, result) = verify(folder.path(), &[]);
    assert_eq!(
        (code, result["verdict"].as_str()),
        (3, Some("nothing verified"))
    );
    let unverified = result["unverified"].as_array().unwrap();
    assert_eq!(unverified.len(), 3 + 3 * 17);
    let reason = unverified[1]["reason"].as_str().unwrap();
    assert!(
        reason.contains("only its first elements were logged"),
        "{reason}"
    );

    let output = parity(folder.path(), &["verify", "ref.jsonl", "-m", "no.gguf"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot read the model: "), "{said}");
}
