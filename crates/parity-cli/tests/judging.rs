//! `parity calibrate`, `--noise`, `--tolerances` and `--strict` as processes.

use serde_json::{Value, json};
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
    // Filled lines are one again.
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The exit code, and the report of the same comparison as JSON.
fn compare(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let mut all = vec!["compare", "--format", "json"];
    all.extend(args);
    let output = parity(folder, &all);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output.status.code(), report)
}

/// A trace of `records`, each with the relative error of its values: alternately up and down, so that the relative RMSE is just that.
fn trace(folder: &Path, name: &str, records: &[(&str, f64)]) {
    let values = |error: f64| -> Vec<f64> {
        let of = |(at, x): (usize, &f64)| {
            let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
            x * (1.0 + sign * error)
        };
        [1.0, -2.0, 3.0, 0.5].iter().enumerate().map(of).collect()
    };
    let line = |checkpoint: &str, dtype: &str, values: &Value| {
        json!({"checkpoint": checkpoint, "team": "test", "token_idx": 0, "dtype": dtype,
            "shape": format!("[{}]", values.as_array().map_or(0, Vec::len)), "values": values})
        .to_string()
            + "\n"
    };
    let mut lines = line("tokens", "i32", &json!([5]));
    for (checkpoint, error) in records {
        // f64, so that the file holds what this test computes.
        lines += &line(checkpoint, "f64", &json!(values(*error)));
    }
    let run = json!({"format_version": 1, "team": "test",
        "model": {"sha256": "aa", "architecture": "llama", "layers": 1, "weights": "F32"},
        "settings": {"kv_type": "f32", "flash_attn": "off"}});
    fs::write(folder.join(format!("{name}.jsonl")), lines).expect("writable");
    fs::write(folder.join(format!("{name}.run.json")), run.to_string()).expect("writable");
}

/// A reference and runs whose queries are off by so many thousandths.
fn queries(errors: &[(&str, f64)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, error) in errors {
        let records = [("layer_0_attn_norm", 0.0), ("layer_0_q", error * 1e-3)];
        trace(folder.path(), name, &records);
    }
    folder
}

#[test]
fn noise_that_was_measured_is_allowed_three_times() {
    let folder = queries(&[
        ("ref", 0.0),
        ("right", 0.5),
        ("also_right", 1.0),
        ("near", 2.5),
        ("far", 3.5),
    ]);
    let folder = folder.path();
    let (code, report) = compare(folder, &["ref.jsonl", "near.jsonl"]);
    assert_eq!(code, Some(1), "{}", report["reasons"]);

    let output = parity(
        folder,
        &[
            "calibrate",
            "ref.jsonl",
            "right.jsonl",
            "also_right.jsonl",
            "-o",
            "noise.toml",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(output.stdout, b"");
    let noise = fs::read_to_string(folder.join("noise.toml")).expect("the noise file");
    assert!(
        noise.contains(r#"runs = ["ref.jsonl", "right.jsonl", "also_right.jsonl"]"#),
        "{noise}"
    );
    // Of the two the larger, all of which the product adds: its input is the same.
    assert!(
        noise.contains(r#""layer_0_q" = { gathered = 1.000e-3, own = 1.000e-3 }"#),
        "{noise}"
    );

    let (code, report) = compare(
        folder,
        &["ref.jsonl", "near.jsonl", "--noise", "noise.toml"],
    );
    assert_eq!(code, Some(0), "{}", report["reasons"]);
    assert_eq!(report["verdict"], "rounding");
    let local = &report["checkpoints"][1]["local"];
    assert_eq!(local["floor"], "calibrated", "{local}");
    assert!((local["own"].as_f64().expect("a number") / 3e-3 - 1.0).abs() < 1e-3);
    let (code, report) = compare(folder, &["ref.jsonl", "far.jsonl", "--noise", "noise.toml"]);
    assert_eq!(code, Some(1), "{}", report["reasons"]);
    assert_eq!(report["origins"][0]["checkpoints"], json!(["layer_0_q"]));
}

#[test]
fn noise_files_that_cannot_be_used() {
    let folder = queries(&[("ref", 0.0), ("near", 2.5)]);
    let folder = folder.path();
    trace(folder, "other", &[("something_else", 0.0)]);
    fs::write(folder.join("old.toml"), "format_version = 9\n").expect("writable");
    for (args, code, message) in [
        (
            &["calibrate", "ref.jsonl", "other.jsonl", "-o", "noise.toml"][..],
            3,
            "`ref.jsonl` and `other.jsonl` have no pair in common that could be measured",
        ),
        (
            &[
                "calibrate",
                "ref.jsonl",
                "near.jsonl",
                "-o",
                "no/noise.toml",
            ],
            2,
            "cannot write the noise file `no/noise.toml`",
        ),
        (
            &["compare", "ref.jsonl", "near.jsonl", "--noise", "old.toml"],
            2,
            "noise file `old.toml`: format_version 9 is not 1",
        ),
        (
            &["compare", "ref.jsonl", "near.jsonl", "--noise", "none.toml"],
            2,
            "cannot read the noise file `none.toml`",
        ),
    ] {
        let output = parity(folder, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains(message), "{errors}");
    }
    assert!(!folder.join("noise.toml").exists());
}

fn tolerance(folder: &Path, checkpoint: &str, limit: f64) {
    let entry = format!(
        "[[tolerance]]\ncheckpoint = \"{checkpoint}\"\nmax_relative_rmse = {limit}\nreason = \"measured\"\n"
    );
    fs::write(folder.join("tolerances.toml"), entry).expect("writable");
}

#[test]
fn a_tolerance_excuses_and_fails_once_it_can_be_deleted() {
    let folder = queries(&[("ref", 0.0), ("near", 2.5), ("same", 0.0), ("quiet", 1e-3)]);
    let folder = folder.path();
    let with = |candidate: &str| {
        compare(
            folder,
            &["ref.jsonl", candidate, "--tolerances", "tolerances.toml"],
        )
    };
    tolerance(folder, "layer_*_q", 5e-3);
    let (code, report) = with("near.jsonl");
    assert_eq!((code, &report["verdict"]), (Some(0), &json!("rounding")));
    assert_eq!(report["tolerances"][0]["excused"], 1);
    let reasons = report["reasons"].to_string();
    assert!(
        reasons.contains("1 pair would count as more than rounding without the tolerance file"),
        "{reasons}"
    );

    // What it excused is gone: the run fails, and says what to do.
    let (code, report) = with("same.jsonl");
    assert_eq!((code, &report["verdict"]), (Some(1), &json!("match")));
    assert_eq!(report["tolerances"][0]["needless"], true);
    let output = parity(
        folder,
        &[
            "compare",
            "ref.jsonl",
            "same.jsonl",
            "--tolerances",
            "tolerances.toml",
        ],
    );
    let page = text(&output.stdout);
    assert!(
        page.contains("The tolerance of `layer_*_q` is no longer needed and can be deleted"),
        "{page}"
    );
    assert!(page.ends_with("verdict: match (exit code 1)"), "{page}");
    // One that fits no checkpoint changes nothing either.
    tolerance(folder, "layer_7_*", 5e-3);
    assert_eq!(with("quiet.jsonl").0, Some(1));
    // A limit that is exceeded excuses nothing.
    tolerance(folder, "layer_*_q", 2e-3);
    assert_eq!(with("near.jsonl").0, Some(1));
    // One that asks for more than the noise does holds the run to it.
    assert_eq!(compare(folder, &["ref.jsonl", "quiet.jsonl"]).0, Some(0));
    tolerance(folder, "layer_*_q", 5e-7);
    let (code, report) = with("quiet.jsonl");
    assert_eq!((code, &report["verdict"]), (Some(1), &json!("diverged")));
    assert_eq!(report["tolerances"][0]["tightened"], 1);
}

#[test]
fn tolerance_files_that_cannot_be_used() {
    let folder = queries(&[("ref", 0.0), ("near", 2.5)]);
    let folder = folder.path();
    for (entry, message) in [
        (
            "checkpoint = \"logits\"\nmax_relative_rmse = 1.0\n",
            "missing field `reason`",
        ),
        (
            "checkpoint = \"logits\"\nmax_relative_rmse = 1.0\nreason = \" \"\n",
            "tolerance of `logits`: the reason is empty",
        ),
        (
            "checkpoint = \"logits\"\nmax_relative_rmse = -1.0\nreason = \"x\"\n",
            "tolerance of `logits`: -1 is not a relative error from 0 on",
        ),
    ] {
        fs::write(folder.join("bad.toml"), format!("[[tolerance]]\n{entry}")).expect("writable");
        let args = [
            "compare",
            "ref.jsonl",
            "near.jsonl",
            "--tolerances",
            "bad.toml",
        ];
        let output = parity(folder, &args);
        assert_eq!(output.status.code(), Some(2));
        let errors = text(&output.stderr);
        assert!(
            errors.contains("tolerance file `bad.toml`") && errors.contains(message),
            "{errors}"
        );
    }
}

#[test]
fn drift_fails_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let names: Vec<String> = (0..14)
        .map(|layer| format!("layer_{layer}_output"))
        .collect();
    let of = |error: &dyn Fn(i32) -> f64| -> Vec<(&str, f64)> {
        let layers = names.iter().map(String::as_str).zip(0..);
        layers.map(|(name, layer)| (name, error(layer))).collect()
    };
    trace(folder, "ref", &of(&|_| 0.0));
    // Twice as much in each layer, which its input explains, up to 8e-3.
    trace(folder, "cand", &of(&|layer| 1e-6 * 2f64.powi(layer)));
    let (code, report) = compare(folder, &["ref.jsonl", "cand.jsonl"]);
    assert_eq!((code, &report["verdict"]), (Some(0), &json!("drift")));
    let (code, report) = compare(folder, &["ref.jsonl", "cand.jsonl", "--strict"]);
    assert_eq!((code, &report["verdict"]), (Some(1), &json!("drift")));
    assert_eq!(report["exit_code"], 1);
}
