//! Who asks for JSON reads JSON, whatever the outcome: every command that has `--format json`, in every outcome but wrong
//! usage and unreadable input.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn parity(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.args(args).current_dir(folder).env_remove("LC_ALL");
    command.output().unwrap()
}

/// What was printed, which must be JSON with a line end and nothing else.
fn printed(folder: &Path, args: &[&str], code: i32) -> Value {
    let args = [args, &["--format", "json"]].concat();
    let output = parity(folder, &args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with('\n'), "{args:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

/// A record of three values, all of them in the line where `whole`.
fn record(checkpoint: &str, values: &str, whole: bool) -> String {
    let shape = if whole { 3 } else { 300 };
    format!(
        r#"{{"checkpoint":"{checkpoint}","team":"t","token_idx":0,"dtype":"f32","shape":"[{shape}]","values":[{values}]}}"#
    ) + "\n"
}

fn trace(token: u32, values: &str, whole: bool) -> String {
    let tokens = format!(
        r#"{{"checkpoint":"tokens","team":"t","token_idx":0,"dtype":"i32","shape":"[1]","values":[{token}]}}"#
    );
    let first = record("layer_0_q", "1,2,3", true);
    tokens + "\n" + &first + &record("layer_1_q", values, whole)
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("ref.jsonl", &trace(5, "1,2,3", true));
    write("same.jsonl", &trace(5, "1,2,3", true));
    write("wrong.jsonl", &trace(5, "7,-1,2", true));
    write("other_token.jsonl", &trace(6, "1,2,3", true));
    write("short.jsonl", &trace(5, "1,2,3", false));
    write("short_wrong.jsonl", &trace(5, "7,-1,2", false));
    write("other_names.jsonl", &record("elsewhere", "4,5,6", true));
    write("empty.jsonl", "");
    write("cut.jsonl", &trace(5, "1,2,3", true)[..200]);
    let save = [
        "baseline",
        "save",
        "ref.jsonl",
        "same.jsonl",
        "-o",
        "parity.toml",
    ];
    assert!(parity(folder.path(), &save).status.success());
    folder
}

#[test]
fn every_command_in_every_outcome() {
    let folder = folder();
    let table: &[(i32, &[&str])] = &[
        (0, &["compare", "ref.jsonl", "same.jsonl"]),
        (1, &["compare", "ref.jsonl", "wrong.jsonl"]),
        (3, &["compare", "ref.jsonl", "other_token.jsonl"]),
        (3, &["compare", "ref.jsonl", "other_names.jsonl"]),
        (3, &["compare", "ref.jsonl", "empty.jsonl"]),
        (
            3,
            &["compare", "ref.jsonl", "same.jsonl", "--checkpoint", "none"],
        ),
        (0, &["compare", "ref.jsonl", "same.jsonl", "same.jsonl"]),
        (1, &["compare", "ref.jsonl", "same.jsonl", "wrong.jsonl"]),
        (3, &["compare", "ref.jsonl", "same.jsonl", "empty.jsonl"]),
        (0, &["gate", "ref.jsonl", "same.jsonl", "-b", "parity.toml"]),
        (
            1,
            &["gate", "ref.jsonl", "wrong.jsonl", "-b", "parity.toml"],
        ),
        (
            3,
            &["gate", "ref.jsonl", "empty.jsonl", "-b", "parity.toml"],
        ),
        (
            3,
            &[
                "gate",
                "ref.jsonl",
                "other_token.jsonl",
                "-b",
                "parity.toml",
            ],
        ),
        (0, &["align", "ref.jsonl", "same.jsonl"]),
        (3, &["align", "ref.jsonl", "other_names.jsonl"]),
        (3, &["align", "ref.jsonl", "empty.jsonl"]),
        (0, &["vote", "ref.jsonl", "same.jsonl", "same.jsonl"]),
        (1, &["vote", "ref.jsonl", "same.jsonl", "wrong.jsonl"]),
        (3, &["vote", "ref.jsonl", "same.jsonl", "empty.jsonl"]),
        (0, &["check", "ref.jsonl"]),
        (3, &["check", "empty.jsonl"]),
        (0, &["doctor", "ref.jsonl", "--against", "same.jsonl"]),
        (
            1,
            &["doctor", "ref.jsonl", "--against", "other_names.jsonl"],
        ),
        (1, &["doctor", "nothing.jsonl"]),
        (0, &["explain", "--list"]),
        (0, &["explain", "p030"]),
        (0, &["explain", "ref.jsonl", "same.jsonl"]),
        (1, &["explain", "ref.jsonl", "wrong.jsonl"]),
        (3, &["explain", "ref.jsonl", "other_token.jsonl"]),
        (3, &["explain", "ref.jsonl", "empty.jsonl"]),
        (3, &["explain", "ref.jsonl", "other_names.jsonl"]),
        (
            3,
            &["explain", "ref.jsonl", "wrong.jsonl", "--at", "layer_9_q"],
        ),
        (3, &["explain", "short.jsonl", "short_wrong.jsonl"]),
    ];
    for (code, args) in table {
        printed(folder.path(), args, *code);
    }
}

#[test]
fn what_cannot_be_explained_says_why() {
    let folder = folder();
    let places = printed(
        folder.path(),
        &["explain", "short.jsonl", "short_wrong.jsonl"],
        3,
    );
    let [place] = &places.as_array().unwrap()[..] else {
        panic!("{places}")
    };
    assert_eq!(place["checkpoint"], "layer_1_q");
    assert_eq!(place["outcome"], "not captured");
    assert_eq!(place["causes"].as_array().map(Vec::len), Some(0));
    assert_eq!(place["tried"].as_array().map(Vec::len), Some(0));
    let why = place["summary"].as_str().unwrap();
    assert!(why.contains("not all its elements were captured"), "{why}");
    assert!(why.contains("ORCH_LOG_DETAIL=full"), "{why}");

    for (candidate, says) in [
        ("wrong.jsonl", "neither trace has it"),
        ("other_names.jsonl", "the reference does not have it"),
    ] {
        let at = ["explain", "ref.jsonl", candidate, "--at", "elsewhere"];
        let places = printed(folder.path(), &at, 3);
        let why = places[0]["summary"].as_str().unwrap();
        assert!(why.contains(says), "{why}");
    }
}

/// One list of places whatever the outcome; where it is empty, standard error says why.
#[test]
fn an_explanation_is_a_list_of_places() {
    let folder = folder();
    for (candidate, code, places, says) in [
        ("same.jsonl", 0, 0, "The traces do not disagree"),
        ("other_token.jsonl", 3, 0, "not comparable: "),
        ("wrong.jsonl", 1, 1, ""),
    ] {
        let args = ["explain", "ref.jsonl", candidate];
        let found = printed(folder.path(), &args, code);
        assert_eq!(found.as_array().map(Vec::len), Some(places), "{candidate}");
        let output = parity(folder.path(), &[&args[..], &["--format", "json"]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(says), "{candidate}: {said}");
        assert_eq!(said.is_empty(), says.is_empty(), "{candidate}: {said}");
    }
}

#[test]
fn the_pages_of_rules() {
    let folder = folder();
    let all = printed(folder.path(), &["explain", "--list"], 0);
    let all = all.as_array().unwrap();
    let one = printed(folder.path(), &["explain", "P030"], 0);
    let [one] = &one.as_array().unwrap()[..] else {
        panic!("{one}")
    };
    assert_eq!(one["code"], "P030");
    assert_eq!(one["operations"][0], "rotation");
    assert!(all.contains(one));
}

#[cfg(feature = "llama")]
#[test]
fn a_verification_in_every_outcome() {
    let folder = folder();
    let donor = std::env::var("NUMERIC_PARITY_MODEL").unwrap_or_else(|_| {
        let home = std::env::var("HOME").unwrap();
        format!("{home}/.cache/numeric-parity/models/SmolLM2-135M-Instruct.Q4_1.gguf")
    });
    let made = parity(
        folder.path(),
        &["models", "tiny", "model.gguf", "-d", &donor],
    );
    assert!(made.status.success(), "{made:?}");
    let mut capture = vec![
        "capture",
        "llama",
        "-m",
        "model.gguf",
        "-p",
        "hi",
        "-n",
        "2",
    ];
    capture.extend(["--threads", "1", "--detail", "full", "-o", "run.jsonl"]);
    let made = parity(folder.path(), &capture);
    assert!(made.status.success(), "{made:?}");
    let own = ["verify", "run.jsonl", "-m", "model.gguf"];
    printed(folder.path(), &own, 0);
    printed(
        folder.path(),
        &[&own[..], &["--limit", "1e-300"]].concat(),
        1,
    );
    printed(
        folder.path(),
        &["verify", "empty.jsonl", "-m", "model.gguf"],
        3,
    );
    printed(
        folder.path(),
        &["verify", "other_names.jsonl", "-m", "model.gguf"],
        3,
    );
}
