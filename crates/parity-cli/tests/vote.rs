//! `parity vote`, and `parity compare` with several candidates, as processes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn parity(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.args(args).current_dir(folder).env_clear();
    command.output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = |name: &str, dtype: &str, values: &str| {
        format!(
            r#"{{"checkpoint":"{name}","team":"t","token_idx":0,"dtype":"{dtype}","shape":"[3]","values":[{values}]}}"#
        ) + "\n"
    };
    for (file, q) in [
        ("a", "1,2,3"),
        ("b", "1,2,3"),
        ("c", "3,1,2"),
        ("d", "9,9,9"),
    ] {
        let trace = line("tokens", "i32", "5,6,7").replace("]}", r#"],"n_tokens":3}"#)
            + &line("embedding", "f32", "4,5,6")
            + &line("layer_0_q", "f32", q);
        fs::write(folder.path().join(format!("{file}.jsonl")), trace).expect("writable");
    }
    folder
}

#[test]
fn vote() {
    let folder = folder();
    let run = |args: &[&str]| parity(folder.path(), args);
    let odd = run(&["vote", "a.jsonl", "c.jsonl", "b.jsonl"]);
    let said = text(&odd.stdout);
    assert_eq!(odd.status.code(), Some(1), "{said}");
    assert!(
        said.contains("c.jsonl is the odd one out, first at `layer_0_q`"),
        "{said}"
    );
    assert_eq!(
        said.lines().last(),
        Some("verdict: odd one out (exit code 1)")
    );

    let agree = run(&["vote", "a.jsonl", "b.jsonl", "a.jsonl", "--format", "json"]);
    let result: serde_json::Value = serde_json::from_slice(&agree.stdout).expect("JSON");
    assert_eq!(
        (agree.status.code(), &result["verdict"]),
        (Some(0), &"agree".into())
    );

    // Three opinions; and the filter leaves only what all agree on.
    assert_eq!(
        run(&["vote", "a.jsonl", "c.jsonl", "d.jsonl"])
            .status
            .code(),
        Some(1)
    );
    let filtered = run(&[
        "vote",
        "a.jsonl",
        "c.jsonl",
        "d.jsonl",
        "--checkpoint",
        "embedding",
    ]);
    assert_eq!(filtered.status.code(), Some(0));
    assert_eq!(run(&["vote", "a.jsonl", "b.jsonl"]).status.code(), Some(2));
    assert_eq!(
        run(&["vote", "a.jsonl", "b.jsonl", "missing.jsonl"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn several_candidates() {
    let folder = folder();
    let run = |args: &[&str]| parity(folder.path(), args);
    let both = run(&["compare", "a.jsonl", "b.jsonl", "c.jsonl"]);
    let said = text(&both.stdout);
    assert_eq!(both.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().last(), Some("verdict: diverged (exit code 1)"));
    assert_eq!(
        run(&["compare", "a.jsonl", "b.jsonl", "a.jsonl"])
            .status
            .code(),
        Some(0)
    );

    let json = run(&[
        "compare", "a.jsonl", "b.jsonl", "c.jsonl", "--format", "json", "-o", "r.json",
    ]);
    assert_eq!(
        (json.status.code(), text(&json.stdout).as_str()),
        (Some(1), "")
    );
    let result: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("r.json")).expect("written"))
            .expect("JSON");
    let verdicts: Vec<_> = result["reports"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|report| &report["verdict"])
        .collect();
    assert_eq!(verdicts, ["match", "diverged"]);

    let three = |form: &str| run(&["compare", "a.jsonl", "b.jsonl", "c.jsonl", "--format", form]);
    let markdown = text(&three("markdown").stdout);
    assert!(
        markdown.starts_with("### ❌ Numeric parity: diverged\n\n| candidate |"),
        "{markdown}"
    );
    assert!(markdown.contains("\n| `b.jsonl` | match |"), "{markdown}");
    assert!(markdown.contains("\n| `c.jsonl` | diverged |"));
    let junit = text(&three("junit").stdout);
    assert_eq!(junit.matches("<testsuite ").count(), 2, "{junit}");
    for (form, what) in [
        ("html", "a page"),
        ("csv", "a table"),
        ("parquet", "a table"),
    ] {
        let refused = three(form);
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        let way_out =
            format!("{what} shows one candidate: compare them one by one with `--format {form}`");
        assert!(said.contains(&way_out), "{said}");
    }
}
