//! A disk that is full: the engine goes on, the loss is counted and visible, and nothing else is damaged.

#![cfg(feature = "read")]

mod common;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use orch_log::format::{DROPPED, Event};
use orch_log::{Detail, Logged, Recorder, Settings, Status};

/// The part that needs limits of its own process.
#[test]
fn child() {
    if common::role().as_deref() == Some("file size limit") {
        reach_the_file_size_limit();
    }
}

fn log(recorder: &Recorder, records: std::ops::Range<i64>) -> Vec<Logged> {
    records
        .map(|position| recorder.log(&Event::new("layer_0_output", position), &[0.25f32; 896]))
        .collect()
}

fn count(outcomes: &[Logged], outcome: Logged) -> u64 {
    outcomes.iter().filter(|one| **one == outcome).count() as u64
}

/// What holds after some records were lost and later ones were written again.
fn assert_loss_is_visible(path: &Path, outcomes: &[Logged], status: &Status) {
    let (written, dropped) = (
        count(outcomes, Logged::Written),
        count(outcomes, Logged::Dropped),
    );
    assert!(
        written > 0 && dropped > 0,
        "{written} written, {dropped} dropped"
    );
    assert_eq!((status.written, status.dropped), (written, dropped));
    assert!(status.first_error.is_some() && status.last_error.is_some() && !status.is_complete());

    let trace = common::read(path);
    let logged: Vec<i64> = outcomes
        .iter()
        .zip(0..)
        .filter(|(outcome, _)| **outcome == Logged::Written)
        .map(|(_, position)| position)
        .collect();
    assert_eq!(
        trace.positions()["layer_0_output"],
        logged,
        "exactly the records that were said to be written"
    );
    let told: Vec<_> = trace
        .records
        .iter()
        .filter(|record| record.checkpoint == DROPPED)
        .collect();
    let last = told.last().expect("a record that tells of the loss");
    assert_eq!(last.values[0], dropped as f64);
    // A half-written line for each time the disk filled up, at most: it damaged no other.
    assert!(
        trace.damaged.len() <= 2,
        "damaged lines {:?}",
        trace.damaged
    );
}

fn reach_the_file_size_limit() {
    let path = std::env::var("TRACE").expect("a path");
    let path = Path::new(&path);
    let set_limit = |bytes: u64| {
        let limit = libc::rlimit {
            rlim_cur: bytes,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: a pointer to a valid struct; and ignoring a signal.
        unsafe {
            // Past the limit the kernel would send SIGXFSZ, which ends a process that does not ignore it.
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
        }
    };
    let recorder = Recorder::create(Settings::new(path, "test")).expect("the trace opens");
    set_limit(50_000);
    let mut outcomes = log(&recorder, 0..200);
    assert_eq!(count(&outcomes[190..], Logged::Dropped), 10);
    set_limit(libc::RLIM_INFINITY);
    outcomes.extend(log(&recorder, 200..210));
    assert_eq!(count(&outcomes[200..], Logged::Written), 10);
    assert_loss_is_visible(path, &outcomes, &recorder.status());
}

#[test]
fn file_size_limit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outcome = common::child("file size limit")
        .env("TRACE", folder.path().join("run.jsonl"))
        .output()
        .expect("the child runs");
    assert!(
        outcome.status.success(),
        "{}",
        String::from_utf8_lossy(&outcome.stdout)
    );
}

#[test]
fn device_that_is_always_full() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full here");
        return;
    }
    let recorder = Recorder::append(Settings::new("/dev/full", "test")).expect("the device opens");
    let outcomes = log(&recorder, 0..10);
    assert_eq!(count(&outcomes, Logged::Dropped), 10);
    let status = recorder.status();
    assert_eq!((status.written, status.dropped), (0, 10));
    assert_eq!(
        status.last_error.map(|error| error.kind()),
        Some(ErrorKind::StorageFull)
    );
}

/// A file system of 128 KiB, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=128k", "orch-log-test"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn small_disk() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!(
            "skipped: a tmpfs cannot be mounted here; `file_size_limit` covers the same code"
        );
        return;
    };
    let (path, filler) = (
        disk.0.path().join("run.jsonl"),
        disk.0.path().join("filler"),
    );
    fs::write(&filler, vec![0u8; 60_000]).expect("room for the filler");
    let recorder = Recorder::create(Settings::new(&path, "test")).expect("the trace opens");
    let mut outcomes = log(&recorder, 0..400);
    assert_eq!(count(&outcomes[390..], Logged::Dropped), 10);
    fs::remove_file(&filler).expect("the filler goes");
    outcomes.extend(log(&recorder, 400..410));
    assert_eq!(count(&outcomes[400..], Logged::Written), 10);
    assert_loss_is_visible(&path, &outcomes, &recorder.status());
}

#[test]
fn payloads_on_a_small_disk() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: a tmpfs cannot be mounted here");
        return;
    };
    let path = disk.0.path().join("run.jsonl");
    // Room for the records is kept: payloads fail first.
    fs::write(&path, vec![b'\n'; 40_000]).expect("room for the trace");
    let mut settings = Settings::new(&path, "test");
    settings.detail = Detail::Full;
    let recorder = Recorder::append(settings).expect("the trace opens");
    let outcomes = log(&recorder, 0..40);
    let status = recorder.status();
    assert!(status.payloads_dropped > 0, "{status:?}");
    let trace = common::read(&path);
    let positions = trace.positions();
    assert_eq!(
        positions["layer_0_output"].len() as u64,
        count(&outcomes, Logged::Written)
    );
    for record in trace
        .records
        .iter()
        .filter(|record| record.checkpoint != DROPPED)
    {
        if let Some(payload) = &record.payload {
            let content = fs::read(disk.0.path().join(&payload.file)).expect("the payload file");
            let bytes =
                &content[payload.offset as usize..(payload.offset + payload.nbytes) as usize];
            assert!(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .all(|element| f32::from_le_bytes(*element) == 0.25)
            );
        }
    }
}

#[test]
fn byte_limit() {
    for buffer in [None, Some(4096)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.jsonl");
        let mut settings = Settings::new(&path, "test");
        settings.max_bytes = Some(20_000);
        settings.buffer = buffer;
        let recorder = Recorder::create(settings).expect("the trace opens");
        let outcomes = log(&recorder, 0..100);
        let status = recorder.status();
        let kept = count(&outcomes, Logged::Written) + count(&outcomes, Logged::Buffered);
        assert!(kept > 0 && kept < 100);
        assert_eq!((status.written, status.dropped), (kept, 100 - kept));
        assert_eq!(
            status.last_error.map(|error| error.kind()),
            Some(ErrorKind::QuotaExceeded)
        );
        drop(recorder);
        let trace = common::read(&path);
        trace.assert_whole();
        let size = fs::metadata(&path).expect("the trace").len();
        assert!(
            size <= 20_000 + 1000,
            "{size} bytes: the limit and the records that tell of it"
        );
        let last = trace
            .records
            .iter()
            .rfind(|record| record.checkpoint == DROPPED)
            .expect("a record that tells");
        assert_eq!(
            last.values[0],
            (100 - kept) as f64,
            "told with the final count when the recorder is dropped"
        );
    }
}

#[test]
fn a_half_line_from_a_crash_damages_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.jsonl");
    fs::write(&path, "{\"checkpoint\":\"layer_0_out").expect("half a line");
    let recorder = Recorder::append(Settings::new(&path, "test")).expect("the trace opens");
    let outcomes = log(&recorder, 0..3);
    assert_eq!(count(&outcomes, Logged::Written), 3);
    let trace = common::read(&path);
    assert_eq!(trace.damaged, [1]);
    assert_eq!(trace.positions()["layer_0_output"], [0, 1, 2]);
}

#[test]
fn a_deleted_trace_is_noticed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.jsonl");
    let recorder = Recorder::create(Settings::new(&path, "test")).expect("the trace opens");
    assert_eq!(log(&recorder, 0..1), [Logged::Written]);
    assert!(recorder.status().is_complete());
    fs::remove_file(&path).expect("the trace is there");
    assert_eq!(log(&recorder, 1..2), [Logged::Written]);
    assert!(recorder.status().deleted && !recorder.status().is_complete());
}
