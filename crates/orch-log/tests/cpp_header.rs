//! A C++ program that logs through `cpp/orch_log.hpp`, read back by this crate's parser and compared
//! with what this crate itself logs for the same tensors.

#![cfg(feature = "read")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use orch_log::format::{Dtype, Event, Record, parse_line};
use orch_log::{Recorder, Settings};

/// `CXX`, or the first compiler that answers.
fn compiler() -> OsString {
    std::env::var_os("CXX")
        .filter(|name| !name.is_empty())
        .or_else(|| {
            ["c++", "g++", "clang++"]
                .map(OsString::from)
                .into_iter()
                .find(|name| Command::new(name).arg("--version").output().is_ok())
        })
        .expect("a C++17 compiler: install g++ or set CXX")
}

fn compile(folder: &Path) -> PathBuf {
    let cpp = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cpp");
    let program = folder.join("minimal");
    let output = Command::new(compiler())
        .args([
            "-std=c++17",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
            "-DORCH_LOGGING",
            "-I",
        ])
        .arg(&cpp)
        .arg(cpp.join("examples/minimal.cpp"))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("the compiler starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

fn read(path: &Path) -> Vec<Record> {
    let trace = std::fs::read(path).expect("the trace exists");
    assert!(trace.ends_with(b"\n"));
    trace
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let parsed = parse_line(line)
                .unwrap_or_else(|error| panic!("{error:?}: {}", String::from_utf8_lossy(line)));
            assert!(!parsed.lenient_numbers);
            parsed.record
        })
        .collect()
}

/// What `minimal.cpp` computes as its layer.
fn layer(token_idx: i64) -> Vec<f32> {
    (0..12).map(|i| 0.5 * (i - token_idx) as f32).collect()
}

#[test]
fn a_cpp_program_logs_what_rust_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile(folder.path());
    let trace = folder.path().join("cpp.jsonl");
    let run = Command::new(&program)
        .env("ORCH_LOG_FILE", &trace)
        .env("ORCH_LOG_TEAM", "minimal")
        .env("ORCH_LOG_DETAIL", "full")
        .output()
        .expect("the program starts");
    assert!(run.status.success());
    assert!(
        run.stdout.is_empty() && run.stderr.is_empty(),
        "a logger does not print"
    );

    let records = read(&trace);
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|record| record.team == "minimal"));
    let tokens = &records[0];
    assert_eq!(
        (tokens.checkpoint.as_str(), tokens.dtype, tokens.token_idx),
        ("tokens", Dtype::I32, 0)
    );
    assert_eq!(
        (&tokens.shape, &tokens.values),
        (&vec![3], &vec![9906.0, 11.0, 1917.0])
    );
    for token_idx in 0..3 {
        let record = &records[1 + token_idx as usize];
        assert_eq!(
            (record.checkpoint.as_str(), record.token_idx),
            ("layer_0_output", token_idx)
        );
        assert_eq!(
            (record.dtype, &record.shape, record.has_n_tokens),
            (Dtype::F32, &vec![12], false)
        );
        let expected: Vec<f64> = layer(token_idx)
            .into_iter()
            .take(10)
            .map(f64::from)
            .collect();
        assert_eq!(record.values, expected);
    }
    let heads = &records[4];
    assert_eq!(
        (heads.checkpoint.as_str(), &heads.shape),
        ("layer_0_q", &vec![2, 3, 4])
    );
    assert_eq!(
        (heads.n_tokens, heads.step, heads.op.as_deref()),
        (2, Some(0), Some("MUL_MAT"))
    );
    assert_eq!(heads.src, ["layer_0_attn_norm"]);

    // Payloads: all elements, at the places that the records name.
    for (record, elements) in records[1..4].iter().zip(0..) {
        let payload = record.payload.as_ref().expect("full detail");
        let bytes =
            std::fs::read(folder.path().join(&payload.file)).expect("the payload file exists");
        let range = payload.offset as usize..(payload.offset + payload.nbytes) as usize;
        let read: Vec<f32> = bytes[range]
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        assert_eq!(read, layer(elements));
    }
    let run_file =
        std::fs::read_to_string(folder.path().join("cpp.run.json")).expect("run.json exists");
    assert!(
        run_file.contains("\"format_version\": 1") && run_file.contains("\"team\": \"minimal\"")
    );
}

#[test]
fn both_languages_log_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile(folder.path());
    let trace = folder.path().join("cpp.jsonl");
    let run = Command::new(&program)
        .env("ORCH_LOG_FILE", &trace)
        .env("ORCH_LOG_TEAM", "same")
        .output();
    assert!(run.expect("the program starts").status.success());

    let ours = folder.path().join("rust.jsonl");
    let recorder = Recorder::create(Settings::new(&ours, "same")).expect("a writable folder");
    let mut written = vec![recorder.log(&Event::new("tokens", 0), &[9906i32, 11, 1917])];
    for token_idx in 0..3 {
        written.push(recorder.log(&Event::new("layer_0_output", token_idx), &layer(token_idx)));
    }
    let event = Event::new("layer_0_q", 0)
        .shape(&[2, 3, 4])
        .n_tokens(2)
        .step(0)
        .op("MUL_MAT");
    written.push(recorder.log(&event.src(&["layer_0_attn_norm"]), &[0.25f32; 24]));
    assert_eq!(written, [orch_log::Logged::Written; 5]);

    assert_eq!(read(&trace), read(&ours));
    assert!(
        read(&trace)
            .iter()
            .all(|record| record.stats.is_some() && record.sketch.is_some())
    );
}

#[test]
fn without_a_trace_nothing_happens() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile(folder.path());
    let run = Command::new(&program)
        .env_remove("ORCH_LOG_FILE")
        .current_dir(folder.path())
        .output();
    let run = run.expect("the program starts");
    assert!(run.status.success() && run.stdout.is_empty() && run.stderr.is_empty());
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names, ["minimal"]);
}
