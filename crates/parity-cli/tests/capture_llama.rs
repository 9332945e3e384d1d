//! `parity capture llama` and `parity models` as processes, on a tiny model.
#![cfg(feature = "llama")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.args(args).current_dir(folder).env_remove("LC_ALL");
    command
}

fn parity(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The real model that `./test` fetches: the donor of the tiny model's tokenizer.
fn donor() -> PathBuf {
    let path = std::env::var_os("NUMERIC_PARITY_MODEL").map(PathBuf::from);
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let path =
        path.unwrap_or(home.join(".cache/numeric-parity/models/SmolLM2-135M-Instruct.Q4_1.gguf"));
    assert!(
        path.exists(),
        "no model: run ./test, which fetches it, or set NUMERIC_PARITY_MODEL"
    );
    path
}

/// A tiny random model, made once by the command itself.
fn model() -> &'static str {
    static MADE: OnceLock<(TempDir, String)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let donor = donor();
        let args = [
            "models",
            "tiny",
            "tiny.gguf",
            "--architecture",
            "qwen2",
            "--donor",
            &donor.to_string_lossy(),
        ];
        let output = parity(folder.path(), &args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let path = folder
            .path()
            .join("tiny.gguf")
            .to_string_lossy()
            .into_owned();
        (folder, path)
    });
    path
}

fn capture(folder: &Path, output: &str, more: &[&str]) -> Output {
    let mut args = vec!["capture", "llama", "-m", model(), "-o", output, "-t", "1"];
    args.extend(more);
    parity(folder, &args)
}

#[test]
#[cfg(not(feature = "cuda"))]
fn layers_for_a_gpu_need_a_build_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for layers in ["1", "all"] {
        let output = capture(
            folder.path(),
            "gpu.jsonl",
            &["-p", "Hello", "--gpu-layers", layers],
        );
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("--features cuda"), "{message}");
    }
    let output = capture(
        folder.path(),
        "cpu.jsonl",
        &[
            "-p",
            "Hello",
            "-n",
            "2",
            "--gpu-layers",
            "0",
            "--check-logits",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("the same to the bit as without capturing"));
}

#[test]
fn what_is_captured_twice_is_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = capture(
        folder.path(),
        "a.jsonl",
        &["-p", "Hello", "-n", "4", "--detail", "full"],
    );
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert_eq!(
        text(&first.stderr),
        "",
        "no bars where stderr is no terminal"
    );
    let out = text(&first.stdout);
    assert!(
        out.starts_with("prompt        \"Hello\"\n  tokens      "),
        "{out}"
    );
    assert!(out.contains("\ncontinuation  "), "{out}");
    assert!(out.ends_with("checkpoints in 4 passes\n"), "{out}");

    let again = capture(
        folder.path(),
        "b.jsonl",
        &["--force-tokens", "a.jsonl", "--detail", "full"],
    );
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("  own picks   "));
    let compared = parity(folder.path(), &["compare", "a.jsonl", "b.jsonl"]);
    assert_eq!(compared.status.code(), Some(0));
    assert!(
        text(&compared.stdout).ends_with("verdict: match (exit code 0)\n"),
        "{}",
        text(&compared.stdout)
    );
}

#[test]
fn only_what_is_asked_for_is_captured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = capture(
        folder.path(),
        "a.jsonl",
        &[
            "-p",
            "Hello",
            "-n",
            "1",
            "--checkpoint",
            "layer_1_*",
            "--checkpoint",
            "!*_ffn_*",
            "--values",
            "3",
            "--detail",
            "values",
        ],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let trace = fs::read_to_string(folder.path().join("a.jsonl")).expect("written");
    for line in trace.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let name = record["checkpoint"].as_str().expect("text");
        assert!(
            name == "tokens" || name.starts_with("layer_1_") && !name.contains("_ffn_"),
            "{name}"
        );
        assert!(name == "tokens" || record["values"].as_array().expect("a list").len() == 3);
        assert!(record.get("stats").is_none());
    }
    assert!(trace.lines().count() > 8);
}

/// Checkpoint, sequence, first position and number of positions of each record.
fn records(trace: &Path) -> Vec<(String, u64, i64, u64)> {
    let trace = fs::read_to_string(trace).expect("written");
    let record = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        (
            record["checkpoint"].as_str().expect("text").to_owned(),
            record["seq"].as_u64().unwrap_or(0),
            record["token_idx"].as_i64().expect("a position"),
            record["n_tokens"].as_u64().expect("a count"),
        )
    };
    trace.lines().map(record).collect()
}

#[test]
fn several_prompts_in_batches_of_a_given_size() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prompts = ["Hello, hello, hello", "Once upon a time"];
    let mut args = vec!["-n", "2", "--ubatch", "3", "--checkpoint", "logits"];
    args.extend(prompts.iter().flat_map(|prompt| ["-p", prompt]));
    let both = capture(folder.path(), "both.jsonl", &args);
    assert!(both.status.success(), "{}", text(&both.stderr));
    let lines = text(&both.stdout);
    let lengths: Vec<u64> = ["  tokens      ", "  prompt      "]
        .iter()
        .map(|start| {
            let ids = lines.lines().find_map(|line| line.strip_prefix(start));
            ids.expect("the ids").split(' ').count() as u64
        })
        .collect();
    assert!(lengths.iter().all(|length| *length > 3), "{lines}");
    assert!(lines.contains("\nsequence 1    "), "{lines}");

    let records = records(&folder.path().join("both.jsonl"));
    assert!(records.iter().all(|record| record.3 <= 3));
    for (seq, length) in (0..).zip(lengths) {
        let of_seq = |name: &str| {
            let of_seq = records
                .iter()
                .filter(|record| record.0 == name && record.1 == seq);
            let mut next = 0;
            for record in of_seq {
                assert_eq!(record.2, next, "{name} of sequence {seq}");
                next += record.3 as i64;
            }
            next
        };
        // The prompt, and the first pick.
        assert_eq!(of_seq("logits"), length as i64 + 1);
        assert_eq!(of_seq("tokens"), length as i64 + 1);
    }
}

#[test]
fn random_picks_are_said_to_be_incomparable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let random = capture(
        folder.path(),
        "a.jsonl",
        &["-p", "Hello", "-n", "2", "--temp", "0.8", "--seed", "3"],
    );
    assert!(random.status.success());
    assert!(
        text(&random.stderr)
            .contains("not comparable unless it is fed with these (--force-tokens a.jsonl)")
    );
    let forced = capture(
        folder.path(),
        "b.jsonl",
        &["--force-tokens", "a.jsonl", "--temp", "0.8"],
    );
    assert_eq!(text(&forced.stderr), "");
}

#[test]
fn fused_attention_is_said_to_hide() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = capture(
        folder.path(),
        "a.jsonl",
        &["-p", "Hello", "-n", "1", "--flash-attn", "on"],
    );
    assert!(output.status.success());
    assert!(
        text(&output.stderr).contains("--flash-attn off shows them"),
        "{}",
        text(&output.stderr)
    );
    let hidden = |name: &str| {
        let run = fs::read_to_string(folder.path().join(name)).expect("written");
        let run: serde_json::Value = serde_json::from_str(&run).expect("JSON");
        run["settings"]["hidden_by_fusion"].clone()
    };
    let all = hidden("a.run.json");
    assert!(
        all.as_str()
            .is_some_and(|names| names.starts_with("layer_0_attn_probs,layer_0_attn_scores"))
    );

    // A filter that leaves out what the fused operation gives.
    let rest = [
        "-p",
        "Hello",
        "-n",
        "1",
        "--flash-attn",
        "on",
        "--checkpoint",
        "logits",
    ];
    let output = capture(folder.path(), "b.jsonl", &rest);
    assert!(output.status.success());
    assert_eq!(hidden("b.run.json"), all);
}

#[test]
fn bad_input_says_what_and_where() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = fs::read(model()).expect("the model is there");
    fs::write(folder.path().join("cut.gguf"), &whole[..whole.len() / 2]).expect("writable");
    fs::write(folder.path().join("text.gguf"), "not a model").expect("writable");
    fs::write(folder.path().join("ids.txt"), "1 2 x").expect("writable");
    let prompt = ["-p", "Hello", "-n", "1", "-o", "a.jsonl"];
    for (more, message) in [
        (&["-m", "missing.gguf"][..], "missing.gguf"),
        (&["-m", "cut.gguf"], "cut.gguf"),
        (&["-m", "text.gguf"], "text.gguf"),
        (&["-m", model(), "-o", "no/such/a.jsonl"], "no/such/a.jsonl"),
        (&["-m", model(), "--force-tokens", "ids.txt"], "ids.txt"),
        (
            &["-m", model(), "--force-tokens", "gone.jsonl"],
            "gone.jsonl",
        ),
        (&["-m", model(), "--temp=-1"], "expected a number from 0 on"),
        (
            &["-m", model(), "--values", "some"],
            "expected a count or `all`",
        ),
        (
            &["-m", model(), "--kv-type", "f64"],
            "possible values: f16, f32",
        ),
    ] {
        let mut args = vec!["capture", "llama"];
        args.extend(more);
        // What is named twice counts by its last mention, so the defaults come first where they would clash.
        let clash = |flag: &str| more.contains(&flag);
        for pair in prompt.chunks(2) {
            if !clash(pair[0]) {
                args.extend(pair);
            }
        }
        let output = parity(folder.path(), &args);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        let errors = text(&output.stderr);
        assert!(
            errors.starts_with("error: ") && errors.contains(message),
            "{more:?}: {errors}"
        );
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn ctrl_c_leaves_a_trace_that_can_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let child = command(
        folder.path(),
        &[
            "capture",
            "llama",
            "-m",
            model(),
            "-o",
            "a.jsonl",
            "-t",
            "1",
            "-p",
            "Hello",
            "-n",
            "900",
        ],
    )
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .expect("the binary starts");
    let trace = folder.path().join("a.jsonl");
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::metadata(&trace).map_or(0, |metadata| metadata.len()) < 20_000 {
        assert!(Instant::now() < deadline, "nothing was written in a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill is there").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("interrupted; `a.jsonl` holds what was captured until then")
    );
    let text = fs::read_to_string(&trace).expect("written");
    assert!(text.ends_with('\n'), "no line is cut");
    assert!(
        text.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
}

#[test]
fn models_are_converted_and_looked_at() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let converted = parity(
        folder.path(),
        &["models", "convert", model(), "q8.gguf", "--weights", "q8_0"],
    );
    assert!(converted.status.success(), "{}", text(&converted.stderr));
    assert!(text(&converted.stdout).starts_with("q8.gguf: "));
    let inspected = text(&parity(folder.path(), &["models", "inspect", "q8.gguf"]).stdout);
    for line in [
        "architecture    qwen2",
        "layers          3",
        "heads           4, of keys and values 2",
        "weights         q8_0",
    ] {
        assert!(inspected.contains(line), "{inspected}");
    }
    let unknown = parity(
        folder.path(),
        &["models", "convert", model(), "x.gguf", "--weights", "q9"],
    );
    assert_eq!(unknown.status.code(), Some(2));
    assert!(!folder.path().join("x.gguf").exists());
}

/// Where two prompts part, their common beginning is still compared, and an engine agrees with itself there: the
/// batches were logged with keys that the compared rows do not see.
#[test]
fn the_common_beginning_of_two_prompts_agrees() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (trace, prompt) in [
        ("a.jsonl", "One two three four five six seven"),
        ("b.jsonl", "One two three four ten nine eight"),
    ] {
        let run = capture(folder.path(), trace, &["-p", prompt, "--detail", "full"]);
        assert!(run.status.success(), "{}", text(&run.stderr));
    }
    let output = parity(
        folder.path(),
        &["compare", "a.jsonl", "b.jsonl", "--format", "json"],
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let compared = report["coverage"]["compared"].as_u64().expect("a count");
    assert!(compared > 40, "{compared} pairs compared");
    assert_eq!(report["tokens"]["status"], "different");
    assert!(
        report["origins"].as_array().is_none_or(Vec::is_empty),
        "{}",
        report["origins"]
    );
    assert_eq!(report["first_divergence"], serde_json::Value::Null);
}
