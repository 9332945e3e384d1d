//! A process that forks while it logs: no record twice, none lost, no payload over another's.

#![cfg(feature = "read")]

mod common;

use std::path::Path;

use orch_log::format::Event;
use orch_log::{Detail, Logged, Recorder, Settings};

#[test]
fn child() {
    match common::role().as_deref() {
        Some("buffered") => fork_and_log(Some(1 << 20)),
        Some("unbuffered") => fork_and_log(None),
        _ => {}
    }
}

const RECORDS: i64 = 50;

fn log(recorder: &Recorder, who: &str, positions: std::ops::Range<i64>) {
    for position in positions {
        let data = vec![who.len() as f32 * 1000.0 + position as f32; 300];
        let logged = recorder.log(&Event::new(who, position), &data);
        assert!(
            matches!(logged, Logged::Written | Logged::Buffered),
            "{logged:?}"
        );
    }
}

fn fork_and_log(buffer: Option<usize>) {
    let trace = std::env::var("TRACE").expect("a path");
    let mut settings = Settings::new(trace, "test");
    (settings.detail, settings.buffer) = (Detail::Full, buffer);
    let recorder = Recorder::create(settings).expect("the trace opens");
    log(&recorder, "parent", 0..RECORDS);
    // SAFETY: the child only logs and leaves by `_exit`, without touching the test harness.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        // The child: also its own child logs.
        log(&recorder, "child", 0..RECORDS);
        // SAFETY: as above.
        let grandchild = unsafe { libc::fork() };
        if grandchild == 0 {
            log(&recorder, "grandchild", 0..RECORDS);
        } else {
            log(&recorder, "child", RECORDS..2 * RECORDS);
            wait_for(grandchild);
        }
        recorder
            .flush()
            .expect("the child's records reach the disk");
        // SAFETY: leaves without exit handlers.
        unsafe { libc::_exit(0) };
    }
    log(&recorder, "parent", RECORDS..2 * RECORDS);
    wait_for(pid);
    recorder
        .flush()
        .expect("the parent's records reach the disk");
}

fn wait_for(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: a pointer to a valid integer.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the forked process failed");
}

fn check(role: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.jsonl");
    let outcome = common::child(role)
        .env("TRACE", &path)
        .output()
        .expect("the child runs");
    assert!(
        outcome.status.success(),
        "{}",
        String::from_utf8_lossy(&outcome.stdout)
    );
    let trace = common::read(&path);
    trace.assert_whole();
    let positions = trace.positions();
    assert_eq!(positions.len(), 3);
    assert!(
        positions["parent"].iter().copied().eq(0..2 * RECORDS),
        "{:?}",
        positions["parent"]
    );
    assert!(
        positions["child"].iter().copied().eq(0..2 * RECORDS),
        "{:?}",
        positions["child"]
    );
    assert!(
        positions["grandchild"].iter().copied().eq(0..RECORDS),
        "{:?}",
        positions["grandchild"]
    );
    assert_payloads(&trace, folder.path());
}

fn assert_payloads(trace: &common::Trace, folder: &Path) {
    let mut files = std::collections::BTreeSet::new();
    for record in &trace.records {
        let payload = record.payload.as_ref().expect("full detail");
        let content = std::fs::read(folder.join(&payload.file)).expect("the payload file");
        let bytes = &content[payload.offset as usize..(payload.offset + payload.nbytes) as usize];
        let expected = record.checkpoint.len() as f32 * 1000.0 + record.token_idx as f32;
        assert_eq!(bytes.len(), 1200);
        assert!(
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .all(|element| f32::from_le_bytes(*element) == expected)
        );
        files.insert(payload.file.clone());
    }
    assert_eq!(files.len(), 3, "a payload file for each process: {files:?}");
}

#[test]
fn every_record_once() {
    check("unbuffered");
}

#[test]
fn every_record_once_with_buffers() {
    check("buffered");
}
