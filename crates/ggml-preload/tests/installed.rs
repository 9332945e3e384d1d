//! `cpp/orch_log_ggml.hpp`: the program installs the callback itself, with ggml linked in statically or dynamically.

mod support;

use std::path::Path;
use std::process::Command;

use support::{
    Tensor, compile, compile_static, model, output_of, preload, preload_library, read, run,
};

const PROMPT: &str = "The capital of France is";
const EXAMPLE: &str = "cpp/examples/llama_every_checkpoint.cpp";

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(model()).args([PROMPT, "4"]);
    command
}

fn installed(program: &Path, trace: &Path) -> Vec<Tensor> {
    let plain = output_of(&mut command(program));
    let output = run(command(program)
        .env("ORCH_LOG_FILE", trace)
        .env("ORCH_LOG_TEAM", "llama.cpp")
        .env("ORCH_LOG_DETAIL", "full")
        .env("ORCH_LOG_GGML_LIBRARY", preload_library()));
    assert_eq!((plain.stdout, plain.stderr), (output.stdout, output.stderr));
    read(trace)
}

/// A record without what differs between processes.
fn content(tensor: &Tensor) -> impl PartialEq + std::fmt::Debug + use<> {
    let record = &tensor.record;
    (
        (
            record.checkpoint.clone(),
            record.step,
            record.token_idx,
            record.n_tokens,
        ),
        (record.shape.clone(), record.op.clone(), record.src.clone()),
        tensor.bytes.clone(),
    )
}

#[test]
fn records_are_those_of_the_preloaded_capture() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let plain = compile(EXAMPLE, &[]);
    let (_, told) = preload(&mut command(&plain), &path("preloaded.jsonl"));
    let expected: Vec<_> = read(&path("preloaded.jsonl")).iter().map(content).collect();
    assert!(
        expected.len() > 4 * 500,
        "{} records; {told:?}",
        expected.len()
    );

    let programs = [
        ("dynamic", compile(EXAMPLE, &["-DORCH_LOGGING"])),
        ("static", compile_static(EXAMPLE, &["-DORCH_LOGGING"])),
    ];
    for (kind, program) in &programs {
        let trace = path(kind).with_extension("jsonl");
        let found: Vec<_> = installed(program, &trace).iter().map(content).collect();
        assert!(
            found == expected,
            "{kind}: {} records against {}",
            found.len(),
            expected.len()
        );
    }
    let description =
        std::fs::read_to_string(path("static.run.json")).expect("written when the process ends");
    assert!(
        description.contains("\"architecture\": \"llama\""),
        "{description}"
    );
}

/// Under `parity capture --` such a program is captured once, not twice.
#[test]
fn preloaded_as_well_it_is_captured_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile(EXAMPLE, &["-DORCH_LOGGING"]);
    let trace = folder.path().join("run.jsonl");
    preload(
        command(&program).env("ORCH_LOG_GGML_LIBRARY", preload_library()),
        &trace,
    );
    let tokens = |tensor: &&Tensor| tensor.record.checkpoint == "tokens";
    assert_eq!(read(&trace).iter().filter(tokens).count(), 4);
}

#[test]
fn a_missing_library_is_one_line_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile(EXAMPLE, &["-DORCH_LOGGING"]);
    let plain = output_of(&mut command(&program));
    let trace = folder.path().join("run.jsonl");
    let output = run(command(&program)
        .env("ORCH_LOG_FILE", &trace)
        .env("ORCH_LOG_GGML_LIBRARY", "/no/such.so"));
    assert_eq!(plain.stdout, output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("orch_log: /no/such.so") && stderr.lines().count() == 1,
        "{stderr}"
    );
    assert!(!trace.exists());
}

/// The mission's own way: one macro in the main loop.
#[test]
fn a_macro_in_the_main_loop_logs_the_same_logits() {
    const SOURCE: &str = "cpp/examples/llama_main_loop.cpp";
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (plain, logging) = (compile(SOURCE, &[]), compile(SOURCE, &["-DORCH_LOGGING"]));
    let (plain, _) = preload(&mut command(&plain), &path("preloaded.jsonl"));
    let logging = run(command(&logging)
        .env("ORCH_LOG_FILE", path("logging.jsonl"))
        .env("ORCH_LOG_DETAIL", "full"));
    assert_eq!(
        (plain.stdout, plain.stderr),
        (logging.stdout, logging.stderr)
    );
    let logits = |trace: &str| -> Vec<(i64, Vec<u8>)> {
        let tensors = read(&path(trace));
        let logits = tensors
            .into_iter()
            .filter(|tensor| tensor.record.checkpoint == "logits");
        logits
            .map(|tensor| (tensor.record.token_idx, tensor.bytes))
            .collect()
    };
    let (expected, found) = (logits("preloaded.jsonl"), logits("logging.jsonl"));
    assert_eq!(found.len(), 4);
    assert_eq!(found, expected);
}
