//! `parity compare` as a process: exit codes, streams, files, memory.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn parity(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("the binary starts")
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.args(args).current_dir(folder).env_clear();
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn line(checkpoint: &str, token_idx: u64, values: &str, dtype: &str) -> String {
    let n = values.split(',').count();
    format!(
        r#"{{"checkpoint":"{checkpoint}","team":"test","token_idx":{token_idx},"dtype":"{dtype}","shape":"[{n}]","values":[{values}],"n_tokens":{}}}"#,
        if dtype == "i32" { n } else { 1 }
    ) + "\n"
}

/// A folder with a reference and candidates for every verdict.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trace = |tokens: &str, values: &str| {
        line("tokens", 0, tokens, "i32")
            + &line("layer_0_q", 0, "1,2,3", "f32")
            + &line("layer_0_q_rope", 0, values, "f32")
    };
    let write =
        |name: &str, text: String| fs::write(folder.path().join(name), text).expect("writable");
    write("ref.jsonl", trace("5", "1,2,3"));
    write("same.jsonl", trace("5", "1,2,3"));
    write("near.jsonl", trace("5", "1,2,3.0001"));
    write("wrong.jsonl", trace("5", "3,2,1"));
    write("tokens.jsonl", trace("6", "1,2,3"));
    write("empty.jsonl", String::new());
    write("other.jsonl", line("something_else", 0, "1", "f32"));
    folder
}

fn last_line(output: &Output) -> String {
    stdout(output).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn exit_code_and_last_line_agree() {
    let folder = folder();
    for (candidate, verdict, code) in [
        ("same.jsonl", "match", 0),
        ("near.jsonl", "rounding", 0),
        ("wrong.jsonl", "diverged", 1),
        ("tokens.jsonl", "not comparable", 3),
        ("empty.jsonl", "not comparable", 3),
        ("other.jsonl", "not comparable", 3),
    ] {
        let output = parity(folder.path(), &["compare", "ref.jsonl", candidate]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{candidate}: {}",
            stdout(&output)
        );
        assert_eq!(
            last_line(&output),
            format!("verdict: {verdict} (exit code {code})")
        );
        assert_eq!(
            stderr(&output),
            "",
            "no progress bar where stderr is no terminal"
        );
        assert!(
            stdout(&output).is_ascii(),
            "no locale, no terminal: plain ASCII"
        );
    }
}

#[test]
fn reasons_of_what_is_not_comparable() {
    let folder = folder();
    for (candidate, reason) in [
        (
            "tokens.jsonl",
            "The token at position 0 is 5 in the reference and 6 in the candidate",
        ),
        ("empty.jsonl", "candidate: no records: the file is empty."),
        (
            "other.jsonl",
            "No checkpoint name in common: the reference has `layer_0_q`, `layer_0_q_rope`, the candidate",
        ),
    ] {
        let output = parity(folder.path(), &["compare", "ref.jsonl", candidate]);
        let text = stdout(&output)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn unusable_input_and_usage() {
    let folder = folder();
    for (args, message) in [
        (
            &["compare", "reff.jsonl", "same.jsonl"][..],
            "error: cannot open trace `reff.jsonl`: No such file or directory (os error 2); did you mean `ref.jsonl`?\n",
        ),
        (&["compare", "ref.jsonl", "."], "this is a folder"),
        (&["compare", "ref.jsonl", "/dev/null"], "not a regular file"),
        (
            &[
                "compare",
                "ref.jsonl",
                "same.jsonl",
                "-o",
                "no/such/folder.txt",
            ],
            "cannot write the report to `no/such/folder.txt`",
        ),
        (&["compare", "ref.jsonl"], "CAND"),
        (
            &["compare", "ref.jsonl", "same.jsonl", "--threshold=-1"],
            "expected a number from 0 on",
        ),
        (
            &[
                "compare",
                "ref.jsonl",
                "same.jsonl",
                "--threshold",
                "1e-3",
                "--bands",
            ],
            "cannot be used with",
        ),
        (
            &["compare", "ref.jsonl", "same.jsonl", "--top", "0"],
            "expected a number from 1 to 1000",
        ),
        (
            &["compare", "ref.jsonl", "same.jsonl", "--format", "xml"],
            "possible values: text, json",
        ),
        (&["comparr"], "unrecognized subcommand"),
    ] {
        let output = parity(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(message),
            "{args:?}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn criteria() {
    let folder = folder();
    let code = |args: &[&str]| {
        let mut all = vec!["compare", "ref.jsonl"];
        all.extend(args);
        parity(folder.path(), &all).status.code()
    };
    // NMSE of near.jsonl: 1e-8 / 14.
    assert_eq!(code(&["near.jsonl", "--threshold", "1e-9"]), Some(0));
    assert_eq!(code(&["near.jsonl", "--threshold", "1e-10"]), Some(1));
    assert_eq!(code(&["near.jsonl", "--bands"]), Some(0));
    assert_eq!(code(&["wrong.jsonl", "--bands"]), Some(1));
    assert_eq!(code(&["wrong.jsonl", "--checkpoint", "*_q"]), Some(0));
    assert_eq!(code(&["wrong.jsonl", "--checkpoint", "!*_rope"]), Some(0));
    assert_eq!(code(&["wrong.jsonl", "--checkpoint", "nothing_*"]), Some(3));
    assert_eq!(code(&["same.jsonl", "--token-offset", "-1"]), Some(3));
}

#[test]
fn json_and_files() {
    let folder = folder();
    let output = parity(
        folder.path(),
        &["compare", "ref.jsonl", "wrong.jsonl", "--format", "json"],
    );
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["exit_code"], 1);
    assert_eq!(report["first_divergence"]["checkpoint"], "layer_0_q_rope");
    assert_eq!(
        report["first_divergence"]["inputs"][0]["checkpoint"],
        "layer_0_q"
    );
    // (3-1)² + 0 + (1-3)² over 1 + 4 + 9
    let nmse = report["first_divergence"]["pair"]["nmse"]
        .as_f64()
        .expect("a number");
    assert!((nmse - 8.0 / 14.0).abs() < 1e-15);

    let to_file = parity(
        folder.path(),
        &[
            "compare",
            "ref.jsonl",
            "wrong.jsonl",
            "--format",
            "json",
            "-o",
            "report.json",
        ],
    );
    assert_eq!(
        (to_file.status.code(), stdout(&to_file)),
        (Some(1), String::new())
    );
    assert_eq!(
        fs::read(folder.path().join("report.json")).expect("written"),
        output.stdout
    );
}

#[test]
fn colours() {
    let folder = folder();
    let colored = |args: &[&str], env: &[(&str, &str)]| {
        let mut all = vec!["compare", "ref.jsonl", "wrong.jsonl"];
        all.extend(args);
        let output = command(folder.path(), &all)
            .envs(env.iter().copied())
            .output()
            .expect("the binary starts");
        stdout(&output).contains('\u{1b}')
    };
    assert!(!colored(&[], &[]), "a pipe");
    assert!(colored(&["--color", "always"], &[]));
    assert!(
        colored(&["--color", "always"], &[("NO_COLOR", "1")]),
        "what is asked for by name wins"
    );
    assert!(!colored(&[], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
    let blocks = |locale: &str| {
        let output = command(folder.path(), &["compare", "ref.jsonl", "near.jsonl"])
            .env("LC_ALL", locale)
            .output();
        !stdout(&output.expect("the binary starts")).is_ascii()
    };
    assert!(blocks("en_US.UTF-8") && !blocks("C"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder();
    let mut child = command(
        folder.path(),
        &["compare", "ref.jsonl", "wrong.jsonl", "-v"],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("the binary starts");
    drop(child.stdout.take());
    let mut errors = String::new();
    let mut pipe = child.stderr.take().expect("piped");
    pipe.read_to_string(&mut errors).expect("text");
    child.wait().expect("it ends");
    assert_eq!(errors, "");
}

#[test]
fn help_and_completions() {
    let folder = folder();
    let help = stdout(&parity(folder.path(), &["compare", "--help"]));
    for word in [
        "--threshold",
        "--checkpoint",
        "Examples:",
        "jq .first_divergence.checkpoint",
    ] {
        assert!(help.contains(word), "{word}");
    }
    assert!(stdout(&parity(folder.path(), &["--help"])).contains("Exit codes:"));
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&parity(folder.path(), &["completions", shell]));
        assert!(
            script.contains("compare") && script.contains("token-offset"),
            "{shell}"
        );
    }
}

#[test]
fn the_field_logs_are_not_comparable() {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/field-logs");
    if !logs.is_dir() {
        eprintln!("skipped: the field logs are not at {}", logs.display());
        return;
    }
    let output = parity(
        &logs,
        &[
            "compare",
            "picasso-llama.jsonl",
            "picasso-worker.jsonl",
            "--format",
            "json",
        ],
    );
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let codes: Vec<&str> = report["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    for code in ["S001", "C006", "C007", "T009"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    // 14 positions from 7 on against 108 from 0 on.
    assert_eq!(report["coverage"]["pairs"], 14);
    assert_eq!(report["coverage"]["missing_in_reference"]["records"], 94);
    let reason = |index: usize| report["reasons"][index].as_str().expect("text");
    assert!(
        reason(0).starts_with("reference: freed memory was logged: the logger's own buffers"),
        "{}",
        reason(0)
    );
    assert!(reason(1).contains("begins at position 7, the candidate at 0"));
    assert_eq!(
        report["reasons"].as_array().map(Vec::len),
        Some(2),
        "no divergence is told of a damaged trace"
    );
}

/// Peak resident memory of a comparison, in KiB.
fn peak_memory_kib(folder: &Path, reference: &str, candidate: &str) -> u64 {
    let mut child = command(
        folder,
        &["compare", reference, candidate, "--format", "json"],
    )
    .stdout(Stdio::null())
    .spawn()
    .expect("the binary starts");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    while child
        .try_wait()
        .expect("the process can be waited for")
        .is_none()
    {
        // Gone already: the last reading stands.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let high_water = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib =
            high_water.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
    assert!(peak > 0, "the process ended before it was looked at");
    peak
}

#[test]
fn memory_grows_by_a_line_a_pair() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stages = ["layer_0_q", "layer_0_k", "layer_1_q", "layer_1_k"];
    // `reversed`: the candidate's order is the reference's from the end.
    let write = |name: &str, records: u64, change: u64, reversed: bool| {
        let mut lines: Vec<String> = Vec::new();
        for index in 0..records {
            let mut values = String::new();
            for value in 0..10 {
                let _ = write!(
                    values,
                    "{}{}.{}",
                    if value > 0 { "," } else { "" },
                    (index * 31 + value) % 97,
                    change
                );
            }
            let stage = stages[(index % 4) as usize];
            lines.push(line(stage, index / 4, &values, "f32"));
        }
        if reversed {
            lines.reverse();
        }
        fs::write(folder.path().join(name), lines.concat()).expect("writable");
    };
    write("small_ref.jsonl", 20_000, 25, false);
    write("small.jsonl", 20_000, 26, false);
    write("big_ref.jsonl", 200_000, 25, false);
    write("big.jsonl", 200_000, 26, false);
    write("big_reversed.jsonl", 200_000, 26, true);
    let small = peak_memory_kib(folder.path(), "small_ref.jsonl", "small.jsonl");
    let big = peak_memory_kib(folder.path(), "big_ref.jsonl", "big.jsonl");
    let reversed = peak_memory_kib(folder.path(), "big_ref.jsonl", "big_reversed.jsonl");
    // What stays of a pair is a line of some 140 bytes with its indices, in lists that double as they grow.
    let lines = 180_000 * 2 * 140 / 1024;
    assert!(
        big < small + lines,
        "{small} KiB for 20,000 records, {big} KiB for 200,000"
    );
    // Half of each file waits for its partner: 200,000 records in tables of 25 bytes a place, which double as they grow.
    assert!(
        reversed < small + lines + 20 * 1024,
        "{small} KiB in order, {reversed} KiB in reverse"
    );
}
