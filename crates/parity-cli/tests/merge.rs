//! `parity merge` as a process: what becomes of slices, partial sums, copies and layers, and of what does not fit.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn merge(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.arg("merge").args(args).current_dir(folder);
    command.env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A record of one token; `more` is JSON that follows, with its comma.
fn record(name: &str, rank: u64, values: &[f32], more: &str) -> String {
    let n = values.len();
    format!(
        r#"{{"checkpoint":"{name}","team":"tp","token_idx":0,"dtype":"f32","shape":"[1, {n}]","values":{values:?},"n_tokens":1,"rank":{rank},"world":2{more}}}"#
    ) + "\n"
}

fn slice(index: u64) -> String {
    format!(r#","shard":{{"axis":1,"index":{index},"count":2}}"#)
}

/// Two ranks that hold: halves of Q, partial sums of the output, copies of the norm.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rank = |rank: u64, q: &[f32], sum: &[f32], norm: &[f32]| {
        record("layer_0_attn_norm", rank, norm, "")
            + &record("layer_0_q", rank, q, &slice(rank))
            + &record("layer_0_attn_out", rank, sum, "")
    };
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("r0.jsonl", rank(0, &[1.0, 2.0], &[0.5, 0.25], &[7.0, 8.0]));
    write("r1.jsonl", rank(1, &[3.0, 4.0], &[1.5, -2.25], &[7.0, 8.0]));
    write("empty.jsonl", String::new());
    write(
        "alone.jsonl",
        record("layer_0_q", 0, &[1.0, 2.0], &slice(0)),
    );
    write(
        "summary.jsonl",
        record("layer_0_q", 0, &[1.0], "").replace("[1, 1]", "[1, 9]"),
    );
    folder
}

/// Checkpoint, shape and values of each record.
fn records(path: &Path) -> Vec<(String, String, Vec<f64>)> {
    let text = fs::read_to_string(path).unwrap();
    let parsed = text.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        let values = record["values"].as_array().unwrap();
        (
            record["checkpoint"].as_str().unwrap().to_owned(),
            record["shape"].as_str().unwrap().to_owned(),
            values.iter().map(|value| value.as_f64().unwrap()).collect(),
        )
    });
    parsed.collect()
}

#[test]
fn slices_side_by_side_sums_added_copies_once() {
    let folder = folder();
    let path = folder.path();
    let sum = ["--sum", "layer_*_attn_out"];
    let output = merge(
        path,
        &[&["r0.jsonl", "r1.jsonl", "-o", "all.jsonl"], &sum[..]].concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "all.jsonl: 3 records: 1 put side by side, 1 summed, 1 the same on several ranks\n"
    );
    let expected = [
        ("layer_0_attn_norm", "[1,2]", vec![7.0, 8.0]),
        ("layer_0_q", "[1,4]", vec![1.0, 2.0, 3.0, 4.0]),
        ("layer_0_attn_out", "[1,2]", vec![2.0, -2.0]),
    ];
    let expected =
        expected.map(|(name, shape, values)| (name.to_owned(), shape.to_owned(), values));
    assert_eq!(records(&path.join("all.jsonl")), expected);

    // The order of the ranks on the command line does not decide the order of the slices.
    let output = merge(
        path,
        &[&["r1.jsonl", "r0.jsonl", "-o", "turned.jsonl"], &sum[..]].concat(),
    );
    assert_eq!(output.status.code(), Some(0));
    let turned = records(&path.join("turned.jsonl"));
    let q = turned
        .iter()
        .find(|(name, ..)| name == "layer_0_q")
        .unwrap();
    assert_eq!(q.2, [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = folder();
    let path = folder.path();
    // Partial sums that nobody called so look like copies that differ.
    let output = merge(path, &["r0.jsonl", "r1.jsonl", "-o", "all.jsonl"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stdout);
    assert!(
        said.contains("left out: `layer_0_attn_out` at position 0"),
        "{said}"
    );
    assert!(said.contains("--sum 'layer_0_attn_out'"), "{said}");
    assert!(
        records(&path.join("all.jsonl"))
            .iter()
            .all(|(name, ..)| name != "layer_0_attn_out")
    );

    for (trace, says) in [
        ("alone.jsonl", "left out: `layer_0_q` at position 0"),
        ("summary.jsonl", "log with `ORCH_LOG_DETAIL=full`"),
        (
            "empty.jsonl",
            "none of the traces has a record: `parity check empty.jsonl`",
        ),
    ] {
        let output = merge(path, &[trace, "-o", "out.jsonl"]);
        assert_eq!(output.status.code(), Some(3), "{trace}: {output:?}");
        assert!(
            text(&output.stdout).contains(says),
            "{}",
            text(&output.stdout)
        );
    }
}

#[test]
fn no_trace_is_written_over() {
    let folder = folder();
    let path = folder.path();
    let before = fs::read(path.join("r1.jsonl")).unwrap();
    for name in ["r1.jsonl", "./r1.jsonl"] {
        let output = merge(path, &["r0.jsonl", "r1.jsonl", "-o", name]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains("is both an input and the output"),
            "{output:?}"
        );
    }
    assert_eq!(fs::read(path.join("r1.jsonl")).unwrap(), before);
    let output = merge(path, &["r0.jsonl", "r2.jsonl", "-o", "all.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("did you mean `r0.jsonl` or `r1.jsonl`?"),
        "{output:?}"
    );
}
