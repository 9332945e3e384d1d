//! What goes wrong on the first day, with every command: each says what it was, and destroys nothing.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.args(args).current_dir(folder).env_clear();
    command
}

fn parity(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn trace(values: &str, layers: usize) -> String {
    let mut text = String::from(
        r#"{"checkpoint":"tokens","team":"t","token_idx":0,"dtype":"i32","shape":"[1]","values":[5]}"#,
    ) + "\n";
    for layer in 0..layers {
        text += &format!(
            r#"{{"checkpoint":"layer_{layer}_q","team":"t","token_idx":0,"dtype":"f32","shape":"[3]","values":[{values},{layer}]}}"#
        );
        text += "\n";
    }
    text
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("ref.jsonl", &trace("1,2", 3));
    write("cand.jsonl", &trace("1,2", 3));
    write("wrong.jsonl", &trace("2,1", 3));
    write("empty", "");
    write("text.txt", "hello world\n");
    write("model.gguf", "GGUF\u{3}\0\0\0 and more\n");
    fs::create_dir(folder.path().join("dir")).unwrap();
    folder
}

/// Every command that reads traces, with one of them being `bad`.
fn readers(bad: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["compare", "ref.jsonl", bad],
        vec!["compare", bad, "cand.jsonl"],
        vec!["compare", "ref.jsonl", "cand.jsonl", bad],
        vec!["calibrate", "ref.jsonl", bad, "-o", "out"],
        vec!["vote", "ref.jsonl", "cand.jsonl", bad],
        vec!["align", "ref.jsonl", bad],
        vec!["align", "--propose", "ref.jsonl", bad],
        vec!["merge", bad, "-o", "out"],
        vec!["baseline", "save", "ref.jsonl", bad, "-o", "out"],
        vec!["check", bad],
        vec!["explain", "ref.jsonl", bad],
    ]
}

#[test]
fn a_path_that_is_no_trace() {
    let folder = folder();
    for (bad, says) in [
        ("nope.jsonl", "cannot open trace `nope.jsonl`: No such file"),
        ("dir", "cannot open trace `dir`: this is a folder"),
        (
            "model.gguf",
            "cannot open trace `model.gguf`: this is a model (GGUF), not a trace",
        ),
    ] {
        for args in readers(bad) {
            let output = parity(folder.path(), &args);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
            assert!(said(&output).contains(says), "{args:?}: {}", said(&output));
            assert!(!folder.path().join("out").exists(), "{args:?} wrote a file");
        }
    }
}

#[test]
fn a_file_without_records() {
    let folder = folder();
    for (bad, says) in [("empty", "empty"), ("text.txt", "no record")] {
        for args in readers(bad) {
            let output = parity(folder.path(), &args);
            assert_eq!(output.status.code(), Some(3), "{args:?}: {output:?}");
            let text = said(&output);
            let is_told = text.contains(says) || text.contains("has a record");
            // These two show what there is; what is wrong with it is for `compare` and `check`.
            let shows = args[0] == "align" || args[0] == "calibrate";
            assert!(is_told || shows, "{args:?}: {text}");
            assert!(!text.contains("panicked"), "{args:?}: {text}");
        }
    }
}

#[test]
fn a_baseline_that_is_none() {
    let folder = folder();
    for bad in ["nope", "dir", "empty", "text.txt", "ref.jsonl"] {
        let args = ["gate", "ref.jsonl", "cand.jsonl", "-b", bad];
        let output = parity(folder.path(), &args);
        assert_eq!(output.status.code(), Some(2), "{bad}: {output:?}");
        let text = said(&output);
        assert!(text.contains(&format!("baseline `{bad}`")), "{text}");
        assert!(
            text.ends_with("`parity baseline save` writes one\n"),
            "{text}"
        );
    }
}

#[test]
fn an_output_never_replaces_an_input() {
    let folder = folder();
    let path = folder.path();
    let names = ["ref.jsonl", "cand.jsonl", "model.gguf"];
    let contents = || names.map(|name| fs::read(path.join(name)).unwrap());
    let before = contents();
    for args in [
        vec!["compare", "ref.jsonl", "cand.jsonl", "-o", "ref.jsonl"],
        vec![
            "compare",
            "ref.jsonl",
            "cand.jsonl",
            "-o",
            "dir/../cand.jsonl",
        ],
        vec![
            "compare",
            "ref.jsonl",
            "wrong.jsonl",
            "cand.jsonl",
            "-o",
            "cand.jsonl",
        ],
        vec![
            "compare",
            "ref.jsonl",
            "cand.jsonl",
            "-m",
            "model.gguf",
            "-o",
            "model.gguf",
        ],
        vec![
            "baseline",
            "save",
            "ref.jsonl",
            "cand.jsonl",
            "-o",
            "cand.jsonl",
        ],
        vec!["calibrate", "ref.jsonl", "cand.jsonl", "-o", "ref.jsonl"],
        vec![
            "capture",
            "llama",
            "-m",
            "model.gguf",
            "-p",
            "hi",
            "-o",
            "model.gguf",
        ],
        vec![
            "models",
            "convert",
            "--weights",
            "f16",
            "model.gguf",
            "model.gguf",
        ],
        vec!["models", "tiny", "--donor", "model.gguf", "model.gguf"],
    ] {
        let output = parity(path, &args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        let text = said(&output);
        assert!(
            text.contains("is both an input and the output"),
            "{args:?}: {text}"
        );
        assert_eq!(contents(), before, "{args:?}");
    }
}

#[test]
fn an_output_that_cannot_be_written() {
    let folder = folder();
    for (args, says) in [
        (
            vec!["compare", "ref.jsonl", "cand.jsonl", "-o", "none/x"],
            "`none/x`",
        ),
        (
            vec!["compare", "ref.jsonl", "cand.jsonl", "-o", "dir"],
            "`dir`",
        ),
        (
            vec!["compare", "ref.jsonl", "cand.jsonl", "-o", "/dev/full"],
            "`/dev/full`",
        ),
        (
            vec!["baseline", "save", "ref.jsonl", "cand.jsonl", "-o", "dir"],
            "`dir`",
        ),
        (
            vec!["calibrate", "ref.jsonl", "cand.jsonl", "-o", "none/x"],
            "`none/x`",
        ),
        (vec!["merge", "ref.jsonl", "-o", "dir"], "`dir`"),
        (vec!["man", "text.txt"], "`text.txt`"),
    ] {
        let output = parity(folder.path(), &args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        let text = said(&output);
        assert!(
            text.contains("cannot write") && text.contains(says),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn a_checkpoint_that_nothing_is_called() {
    let folder = folder();
    let args = [
        "compare",
        "ref.jsonl",
        "cand.jsonl",
        "--checkpoint",
        "lyer_*",
    ];
    let output = parity(folder.path(), &args);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("no checkpoint of both traces passes `--checkpoint`: `lyer_*`"),
        "{text}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_changes_no_verdict() {
    let folder = folder();
    let path = folder.path();
    // More than a pipe holds, so that writing must fail.
    let long = |values| trace(values, 2000);
    fs::write(path.join("long.jsonl"), long("1,2")).unwrap();
    fs::write(path.join("long_wrong.jsonl"), long("2,1")).unwrap();
    for (candidate, code) in [("long.jsonl", 0), ("long_wrong.jsonl", 1)] {
        for form in ["json", "csv", "text", "junit"] {
            let args = [
                "compare",
                "long.jsonl",
                candidate,
                "-v",
                "--top",
                "1000",
                "--format",
                form,
            ];
            let mut child = command(path, &args)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut first = [0; 10];
            let mut pipe = child.stdout.take().unwrap();
            pipe.read_exact(&mut first).unwrap();
            drop(pipe);
            let mut complaint = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut complaint)
                .unwrap();
            let status = child.wait().unwrap();
            assert_eq!(status.code(), Some(code), "{form} {candidate}: {complaint}");
            assert_eq!(complaint, "", "{form} {candidate}");
        }
    }
}
