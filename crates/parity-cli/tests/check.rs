//! `parity check` as a process: exit codes, forms of the report, the log from the field.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn parity(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parity"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .output()
        .expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A folder with a trace that is sound, one with a warning, and one that is damaged.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = |checkpoint: &str, values: &str| {
        let shape = values.split(',').count();
        format!(
            r#"{{"checkpoint":"{checkpoint}","team":"t","token_idx":0,"dtype":"f32","shape":"[{shape}]","values":[{values}]}}"#
        ) + "\n"
    };
    let sound = line("final_norm", "0.1,1.5,-2.25,7") + &line("logits", "3,1.7,-0.3");
    let warned = sound.clone() + "not a record\n";
    let damaged = sound.clone() + &line("layer_0_q", &["-4.316021e8"; 8].join(","));
    for (name, text) in [
        ("sound", &sound),
        ("warned", &warned),
        ("damaged", &damaged.replace("-4.316021e8", "-431602080")),
    ] {
        std::fs::write(folder.path().join(format!("{name}.jsonl")), text).expect("writable");
    }
    folder
}

#[test]
fn exit_codes() {
    let folder = folder();
    for (name, code, last) in [
        ("sound", 0, "sound.jsonl: sound (2 records"),
        (
            "warned",
            0,
            "warned.jsonl: usable, with the reservations above (2 records",
        ),
        (
            "damaged",
            3,
            "damaged.jsonl: damaged: do not compare it (3 records",
        ),
    ] {
        let output = parity(folder.path(), &["check", &format!("{name}.jsonl")]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{name}: {}",
            stdout(&output)
        );
        assert!(stdout(&output).contains(last), "{}", stdout(&output));
        assert!(output.stderr.is_empty());
    }
    let missing = parity(folder.path(), &["check", "mising.jsonl"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(missing.stdout.is_empty() && !missing.stderr.is_empty());
    assert_eq!(parity(folder.path(), &["check"]).status.code(), Some(2));
}

#[test]
fn for_programs() {
    let folder = folder();
    let output = parity(
        folder.path(),
        &["check", "damaged.jsonl", "--format", "json"],
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["format_version"], 1);
    assert_eq!(report["damaged"], true);
    assert_eq!(report["findings"][0]["code"], "S003");
    assert_eq!(report["findings"][0]["severity"], "error");
    assert_eq!(
        report["findings"][0]["records"]["first_lines"],
        serde_json::json!([3])
    );
}

#[test]
fn the_log_from_the_field() {
    let logs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/field-logs");
    if !logs.exists() {
        eprintln!("SKIPPED: `{}` is not here", logs.display());
        return;
    }
    let begun = std::time::Instant::now();
    let reference = parity(&logs, &["check", "picasso-llama.jsonl"]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    assert_eq!(reference.status.code(), Some(3));
    let text = stdout(&reference);
    assert!(
        text.starts_with("error[S001]: freed memory was logged"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(
        words
            .join(" ")
            .contains("the logger's own buffers were freed before they were written"),
        "{text}"
    );

    let candidate = parity(&logs, &["check", "picasso-worker.jsonl"]);
    assert_eq!(candidate.status.code(), Some(0));
    assert!(
        !stdout(&candidate).contains("S00"),
        "{}",
        stdout(&candidate)
    );
}
