//! `orch_log_cuda!` where a device cannot be asked: no CUDA here, or no context on the stream.

#![cfg(all(feature = "read", feature = "cuda", feature = "orch_logging"))]

mod common;

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use cudarc::driver::sys::CUstream;
use orch_log::{cuda, orch_log, orch_log_cuda, orch_log_cuda_step};

static EVALUATED: AtomicUsize = AtomicUsize::new(0);

/// An address that must never be read.
fn address() -> u64 {
    EVALUATED.fetch_add(1, Ordering::Relaxed);
    0x7000_0000
}

#[test]
fn child() {
    let Some(role) = common::role() else { return };
    let stream: CUstream = ptr::null_mut();
    for position in 0..3 {
        orch_log_cuda!("layer_0_q", address(), 4, "f32", [1, 4], position, stream; op = "MUL_MAT");
        orch_log!("layer_0_output", &[1.0f32, 2.0], position);
    }
    orch_log_cuda_step!(stream);
    cuda::flush().expect("nothing is in the way");
    let evaluated = EVALUATED.load(Ordering::Relaxed);
    assert_eq!(evaluated, if role == "off" { 0 } else { 3 });
    if let Some(recorder) = orch_log::global() {
        let status = recorder.status();
        assert_eq!(
            (status.written, status.dropped),
            (3, 4),
            "three tensors and a step"
        );
        let error = status
            .first_error
            .expect("something was dropped")
            .to_string();
        assert_eq!(error, "a CUDA call failed");
    }
}

#[test]
fn the_engine_goes_on_and_is_told_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.jsonl");
    let outcome = common::child("on")
        .env("ORCH_LOG_FILE", &path)
        .output()
        .expect("the child runs");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&outcome.stdout),
        String::from_utf8_lossy(&outcome.stderr),
    );
    assert!(outcome.status.success(), "{stdout}{stderr}");
    // With a driver, the stream without a context is an error of the call's, and only counted.
    let told = stderr
        .matches("orch_log: tensors in GPU memory are not logged: CUDA's driver: libcuda")
        .count();
    let has_driver = [
        "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
        "/usr/lib64/libcuda.so.1",
    ]
    .iter()
    .any(|path| std::path::Path::new(path).exists());
    assert!(told == 1 || has_driver, "told {told} times: {stderr}");
    let text = std::fs::read_to_string(&path).expect("a trace");
    assert_eq!(text.matches("\"checkpoint\":\"layer_0_output\"").count(), 3);
    assert!(
        text.contains("\"checkpoint\":\"orch_log.dropped\""),
        "{text}"
    );
    assert!(!text.contains("layer_0_q"), "{text}");
}

#[test]
fn without_a_trace_nothing_is_evaluated_or_told() {
    let outcome = common::child("off")
        .env_remove("ORCH_LOG_FILE")
        .output()
        .expect("the child runs");
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{stderr}");
    assert!(!stderr.contains("orch_log"), "{stderr}");
}
