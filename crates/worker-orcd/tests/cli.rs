//! The command: results on stdout, warnings and errors on stderr, exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test tells by panicking and printing"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::quantized::gguf_file::{self, Value};
use common::{tiny_model, worker, worker_ok};
use ggml_capture::models::Architecture;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with a tiny llama in it.
fn tiny() -> Option<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), Architecture::Llama)?;
    Some((folder, model))
}

fn fails(args: &[&str], parts: &[&str]) {
    let output = worker(None, args);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    assert!(output.stdout.is_empty(), "{args:?}");
    for part in parts {
        assert!(
            message.contains(part),
            "{args:?}: no {part:?} in: {message}"
        );
    }
    assert!(
        !message.contains("candle_core::"),
        "a backtrace is no message: {message}"
    );
}

#[test]
fn unusable_models() {
    let Some((folder, model)) = tiny() else {
        return;
    };
    let generate =
        |model: &Path, parts: &[&str]| fails(&["generate", "-m", path(model), "-p", "x"], parts);
    generate(
        &folder.path().join("none.gguf"),
        &["none.gguf", "No such file"],
    );
    generate(folder.path(), &["no regular file"]);
    let bytes = fs::read(&model).unwrap();
    let file = folder.path().join("damaged.gguf");
    for (content, parts) in [
        (&bytes[..0], &["damaged.gguf", "truncated"][..]),
        (&bytes[..1000], &["truncated", "1000 bytes", "SHA-256"]),
        (
            &bytes[..bytes.len() - 100],
            &["truncated GGUF: tensor `", "download it again"],
        ),
        (b"{\"checkpoint\": 1}", &["not a GGUF file"]),
    ] {
        fs::write(&file, content).unwrap();
        generate(&file, parts);
    }
}

#[test]
fn another_architecture() {
    let Some((folder, model)) = tiny() else {
        return;
    };
    let mut reader = fs::File::open(&model).unwrap();
    let content = gguf_file::Content::read(&mut reader).unwrap();
    let name = Value::String("mamba".to_owned());
    let metadata: Vec<(&str, &Value)> = content
        .metadata
        .iter()
        .map(|(key, value)| {
            (
                key.as_str(),
                if key == "general.architecture" {
                    &name
                } else {
                    value
                },
            )
        })
        .collect();
    let tensor = content
        .tensor(&mut reader, "output_norm.weight", &candle_core::Device::Cpu)
        .unwrap();
    let file = folder.path().join("mamba.gguf");
    gguf_file::write(
        &mut fs::File::create(&file).unwrap(),
        &metadata,
        &[("output_norm.weight", &tensor)],
    )
    .unwrap();
    fails(
        &["generate", "-m", path(&file), "-p", "x"],
        &["`mamba` is not supported", "llama, qwen2, qwen3, gpt2"],
    );
}

#[test]
fn unusable_tokens() {
    let Some((folder, model)) = tiny() else {
        return;
    };
    let model = path(&model);
    let list = folder.path().join("list");
    fs::write(&list, "1 2 3").unwrap();
    let list = path(&list);
    fails(&["generate", "-m", model], &["--prompt"]);
    fails(&["generate", "-m", model, "-p", ""], &["no tokens"]);
    fails(
        &["generate", "-m", model, "--prompt-tokens", "1,x"],
        &["`x` is not a token id"],
    );
    fails(
        &["generate", "-m", model, "--prompt-tokens", "1,512"],
        &["token 512", "vocabulary of 512"],
    );
    fails(
        &["generate", "-m", model, "-p", "x", "-n", "2000"],
        &["1024", "lower -n"],
    );
    fails(
        &["generate", "-m", model, "--force-tokens", list],
        &["continues a prompt"],
    );
    fails(
        &["generate", "-m", model, "--force-tokens", "none.jsonl"],
        &["none.jsonl", "No such file"],
    );
}

#[test]
fn forced_and_own_picks_are_both_told() {
    let Some((folder, model)) = tiny() else {
        return;
    };
    let model = path(&model);
    let list = folder.path().join("list");
    let own = worker_ok(
        None,
        &[
            "generate",
            "-m",
            model,
            "--prompt-tokens",
            "5 6 7",
            "-n",
            "1",
        ],
    );
    fs::write(&list, "[40, 41]").unwrap();
    let args = [
        "generate",
        "-m",
        model,
        "--prompt-tokens",
        "5 6 7",
        "--force-tokens",
        path(&list),
    ];
    let told = worker_ok(None, &args);
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("forced: ") && lines[1].starts_with("own: "),
        "{told}"
    );
    assert!(
        lines[2].starts_with("own picks differ first at step 0: forced 40"),
        "{told}"
    );
    assert!(
        lines[2].contains(&format!("{:?}", own.trim_end_matches('\n'))),
        "{own:?} in {told}"
    );
    assert!(
        worker(None, &args).stderr.is_empty(),
        "nothing on stderr when it is no terminal"
    );
}

/// Runs with the environment of a logging run.
fn logging(model: &str, trace: &Path, more: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_worker-orcd"))
        .args([
            "generate",
            "-m",
            model,
            "--prompt-tokens",
            "5 6 7",
            "-n",
            "3",
        ])
        .env("ORCH_LOG_FILE", trace)
        .envs(more.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_trace_that_cannot_be_written_stops_nothing() {
    let Some((folder, model)) = tiny() else {
        return;
    };
    let model = path(&model);
    let expected = worker_ok(
        None,
        &[
            "generate",
            "-m",
            model,
            "--prompt-tokens",
            "5 6 7",
            "-n",
            "3",
        ],
    );
    if !orch_log::ENABLED {
        eprintln!("skipped: built without the feature orch_logging");
        return;
    }
    for (trace, more, part) in [
        (
            Path::new("/nonexistent/trace.jsonl"),
            &[][..],
            "cannot be opened",
        ),
        (Path::new("/dev/full"), &[], "incomplete"),
        (
            &folder.path().join("limited.jsonl"),
            &[("ORCH_LOG_MAX_BYTES", "5000")],
            "incomplete",
        ),
    ] {
        let output = logging(model, trace, more);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {message}", trace.display());
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "{}",
            trace.display()
        );
        assert!(
            message.contains(part),
            "{}: no {part:?} in: {message}",
            trace.display()
        );
    }
}

#[test]
fn the_run_is_described() {
    let Some((folder, model)) = tiny() else {
        return;
    };
    if !orch_log::ENABLED {
        eprintln!("skipped: built without the feature orch_logging");
        return;
    }
    let trace = folder.path().join("run.jsonl");
    assert!(logging(path(&model), &trace, &[]).status.success());
    let text = fs::read_to_string(folder.path().join("run.run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&text).unwrap();
    let digest = Command::new("sha256sum")
        .arg(&model)
        .output()
        .unwrap()
        .stdout;
    assert_eq!(
        run["model"]["sha256"].as_str().unwrap().as_bytes(),
        &digest[..64]
    );
    assert_eq!(run["model"]["architecture"], "llama");
    assert_eq!(run["model"]["layers"], 3);
    assert_eq!(run["model"]["weights"], "f32");
    assert_eq!(run["device"], "cpu");
    assert_eq!(run["settings"]["matmul"], "dequantized");
    assert_eq!(run["settings"]["kv_type"], "f32");
    assert_eq!(run["settings"]["forced"], "false");
    let tokens = run["tokens"].as_array().unwrap();
    assert_eq!(
        (&tokens[..3], tokens.len()),
        (&[5.into(), 6.into(), 7.into()][..], 6)
    );
    assert!(run["settings"]["fault"].is_null());
}

#[cfg(feature = "faults")]
#[test]
fn a_fault_from_the_environment_is_told_in_one_place_only() {
    let Some((folder, model)) = tiny() else {
        return;
    };
    if !orch_log::ENABLED {
        return;
    }
    let trace = folder.path().join("run.jsonl");
    let fault = [
        ("WORKER_ORCD_FAULT", "rope-pairing"),
        ("WORKER_ORCD_FAULT_LAYER", "2"),
    ];
    assert!(logging(path(&model), &trace, &fault).status.success());
    let text = fs::read_to_string(folder.path().join("run.run.json")).unwrap();
    let mut run: serde_json::Value = serde_json::from_str(&text).unwrap();
    let told = run["settings"]
        .as_object_mut()
        .unwrap()
        .remove("fault")
        .unwrap();
    assert_eq!(told, "rope-pairing layer 2 token all");
    assert!(!run.to_string().contains("rope-pairing"), "{run}");
    assert!(!fs::read_to_string(&trace).unwrap().contains("rope-pairing"));
}

#[cfg(not(feature = "faults"))]
#[test]
fn without_the_feature_faults_are_refused_with_the_way_to_get_them() {
    let Some((_folder, model)) = tiny() else {
        return;
    };
    let args = [
        "generate",
        "-m",
        path(&model),
        "-p",
        "x",
        "--fault",
        "rope-pairing",
    ];
    fails(&args, &["--fault rope-pairing", "--features", "faults"]);
    fails(&["faults"], &["--features"]);
}
