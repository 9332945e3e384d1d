//! `parity capture -- PROGRAM`: the trace, the program's own output and exit code, and what is said when there is nothing
//! to capture.

#![cfg(feature = "llama")]

#[path = "../../ggml-preload/tests/support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn parity(arguments: &[&OsStr]) -> Output {
    support::output_of(Command::new(env!("CARGO_BIN_EXE_parity")).args(arguments))
}

/// `parity capture -o TRACE -- COMMAND…`
fn capture(trace: &Path, command: &[&OsStr]) -> Output {
    let mut arguments: Vec<&OsStr> = ["capture", "-o"].map(OsStr::new).to_vec();
    arguments.extend([trace.as_os_str(), OsStr::new("--")]);
    arguments.extend(command);
    parity(&arguments)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn os<'a>(words: &'a [&'a str]) -> Vec<&'a OsStr> {
    words.iter().map(OsStr::new).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn the_trace_matches_the_linked_one() {
    let folder = Folder::new();
    let model = support::model();
    let program = support::compile("cpp/examples/llama_main_loop.cpp", &[]);
    let prompt = "The capital of France is";
    let plain = support::output_of(Command::new(&program).arg(&model).args([prompt, "4"]));
    let command = [
        program.as_os_str(),
        model.as_os_str(),
        OsStr::new(prompt),
        OsStr::new("4"),
    ];
    let captured = capture(&folder.path("run.jsonl"), &command);
    assert_eq!(captured.stdout, plain.stdout);
    assert_eq!(captured.status.code(), Some(0));
    assert_eq!(
        stderr(&captured),
        format!(
            "{}note: captured {}\n",
            stderr(&plain),
            folder.path("run.jsonl").display()
        )
    );

    let reference = folder.path("ref.jsonl");
    let (trace, model) = (
        reference.to_str().expect("UTF-8"),
        model.to_str().expect("UTF-8"),
    );
    let linked = parity(&os(&[
        "capture", "llama", "-t", "1", "-n", "4", "-m", model, "-p", prompt, "-o", trace,
    ]));
    assert!(linked.status.success(), "{}", stderr(&linked));
    let report = parity(&[
        OsStr::new("compare"),
        OsStr::new("--format=json"),
        reference.as_os_str(),
        folder.path("run.jsonl").as_os_str(),
    ]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!(report["verdict"], "match", "{report:#}");
    assert_eq!(report["first_divergence"], serde_json::Value::Null);

    // What only the command could add, once the program had ended.
    let [captured, linked] = ["run.run.json", "ref.run.json"].map(|name| {
        let run = std::fs::read_to_string(folder.path(name)).expect("written");
        serde_json::from_str::<serde_json::Value>(&run).expect("JSON")
    });
    for key in ["sha256", "architecture", "layers"] {
        assert_eq!(captured["model"][key], linked["model"][key], "{key}");
    }
    assert_eq!(captured["model"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(captured["settings"]["capture"], "preload");
}

#[test]
fn exit_codes_are_the_programs_own() {
    let folder = Folder::new();
    let trace = folder.path("run.jsonl");
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137)] {
        let output = capture(&trace, &os(&["sh", "-c", script]));
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(
            stderr(&output).contains("does not use ggml"),
            "{}",
            stderr(&output)
        );
    }
    let quiet = capture(&trace, &os(&["sh", "-c", "echo out; echo err >&2; cat"]));
    assert_eq!(String::from_utf8_lossy(&quiet.stdout), "out\n");
    assert!(stderr(&quiet).starts_with("err\nerror: "));
    // The program did well, but there is no trace, which whoever asked for one must notice.
    assert_eq!(quiet.status.code(), Some(2));
    assert!(!trace.exists());
}

#[test]
fn what_cannot_be_captured_is_said_with_the_ways_out() {
    let folder = Folder::new();
    let trace = folder.path("run.jsonl");
    let fails = |command: &[&OsStr], trace: &Path| {
        let output = capture(trace, command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        stderr(&output)
    };
    let message = fails(&os(&["no-such-program"]), &trace);
    assert!(
        message.contains("there is no program `no-such-program`"),
        "{message}"
    );
    let message = fails(&os(&["true"]), &folder.path("no/such/run.jsonl"));
    assert!(
        message.contains("cannot write the trace") && message.contains("No such file"),
        "{message}"
    );

    let source = "cpp/examples/llama_every_checkpoint.cpp";
    let alone = folder.path("alone");
    let inside = support::compile_static(source, &[]);
    let model = support::model();
    let command = [
        inside.as_os_str(),
        model.as_os_str(),
        OsStr::new("Hello"),
        OsStr::new("1"),
    ];
    let message = fails(&command, &trace);
    assert!(
        message.contains("has ggml linked in statically"),
        "{message}"
    );
    assert!(
        message.contains("-DBUILD_SHARED_LIBS=ON") && message.contains("cpp/orch_log_ggml.hpp"),
        "{message}"
    );

    std::fs::write(folder.path("alone.cpp"), "int main() {}").expect("writable");
    let built = support::output_of(
        Command::new("c++")
            .arg("-static")
            .arg(folder.path("alone.cpp"))
            .arg("-o")
            .arg(&alone),
    );
    assert!(built.status.success(), "{}", stderr(&built));
    let message = fails(&[alone.as_os_str()], &trace);
    assert!(
        message.contains("is statically linked") && message.contains("cpp/orch_log_ggml.hpp"),
        "{message}"
    );
}

#[test]
fn an_older_trace_of_that_name_is_replaced() {
    let folder = Folder::new();
    let trace = folder.path("run.jsonl");
    std::fs::write(&trace, "{}\n").expect("writable");
    capture(&trace, &os(&["true"]));
    assert!(!trace.exists(), "what is there afterwards is of this run");
}
