//! Real allocators: programs that log freed memory, compiled and run here.

use super::{check, codes};
use parity::check::soundness::{Finding, Severity};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Compiles a program; `None`, with a word on stderr, where there is no compiler.
fn compile(source: &Path, folder: &TempDir) -> Option<PathBuf> {
    let program = folder.path().join(source.file_stem().expect("a file name"));
    let built = Command::new("g++")
        .args(["-std=c++17", "-O1", "-w", "-o"])
        .arg(&program)
        .arg(source)
        .output();
    match built {
        Err(error) => {
            eprintln!("SKIPPED: g++ cannot be run: {error}");
            None
        }
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(program)
        }
    }
}

fn assert_freed(findings: &[Finding], what: &str, lines: &str) {
    assert!(
        codes(findings, Severity::Error).contains(&"S001"),
        "{what}: {findings:#?}\n{lines}"
    );
    let freed = findings
        .iter()
        .find(|finding| finding.code == "S001")
        .expect("just seen");
    let cause = freed.cause.as_deref().expect("a cause");
    assert!(
        cause.contains("the logger's own buffers were freed"),
        "{what}: {cause}"
    );
}

/// The same design as in the field log, with this machine's allocator. Each run has other addresses.
#[test]
fn fresh_output_of_the_old_design() {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cpp/tests/fixtures/old_design.cpp");
    if !source.exists() {
        eprintln!("SKIPPED: `{}` is not here", source.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let Some(program) = compile(&source, &folder) else {
        return;
    };
    for run in 0..40 {
        let trace = folder.path().join(format!("{run}.jsonl"));
        let status = Command::new(&program)
            .arg(&trace)
            .status()
            .expect("it was just built");
        assert!(status.success(), "run {run}: {status}");
        let lines = std::fs::read_to_string(&trace).expect("it was just written");
        assert_freed(&check(&lines), &format!("run {run}"), &lines);
    }
}

#[test]
fn freed_buffers_of_all_sizes_and_orders() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soundness/freed_buffers.cpp");
    let folder = tempfile::tempdir().expect("a folder");
    let Some(program) = compile(&source, &folder) else {
        return;
    };
    let mut seed = 0;
    for format in ["%f", "%.9g"] {
        for (records, names) in [(10, 1), (14, 1), (60, 1), (60, 3)] {
            for values in [10, 16, 100] {
                for order in ["forward", "backward", "shuffled"] {
                    for _ in 0..10 {
                        seed += 1;
                        let arguments =
                            [seed, records, values].map(|number: i32| number.to_string());
                        let output = Command::new(&program)
                            .args(&arguments)
                            .args([format, &names.to_string(), order])
                            .output()
                            .expect("it was just built");
                        assert!(output.status.success(), "{}", output.status);
                        let lines = String::from_utf8(output.stdout).expect("JSON");
                        let what = format!(
                            "seed {seed}, {records} records of {values} values, {names} names, {order}, {format}"
                        );
                        assert_freed(&check(&lines), &what, &lines);
                    }
                }
            }
        }
    }
}
