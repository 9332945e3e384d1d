//! Records of killed processes, of many threads, and of many processes on one file.

#![cfg(feature = "read")]

mod common;

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orch_log::format::Event;
use orch_log::{Detail, Logged, Recorder, Settings, Values};

/// The other side of the tests below, in a process of its own.
#[test]
fn child() {
    match common::role().as_deref() {
        Some("until killed") => log_until_killed(),
        Some("one of eight") => log_as_one_of_eight(),
        _ => {}
    }
}

const THREADS: usize = 4;
const KILLS: usize = 320;

/// Counters in memory that outlives the process: a shared mapping of a file.
fn shared_counters(path: &Path) -> &'static [AtomicU64; THREADS] {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .expect("a file for the counters");
    file.set_len(4096).expect("room for the counters");
    // SAFETY: a new shared mapping of a whole page of the file, checked below, never unmapped.
    let page = unsafe {
        use std::os::fd::AsRawFd;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            access,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: the page is aligned, long enough, and only ever accessed through atomics.
    unsafe { &*page.cast() }
}

fn settings(path: impl AsRef<Path>) -> Settings {
    Settings::new(path.as_ref(), "test")
}

fn log_until_killed() {
    let folder = std::env::var("FOLDER").expect("the parent names a folder");
    let folder = Path::new(&folder);
    let mut settings = settings(folder.join("run.jsonl"));
    settings.values = Values::All;
    let recorder = Recorder::create(settings).expect("the trace opens");
    let returned = shared_counters(&folder.join("counters"));
    let recorder = &recorder;
    std::thread::scope(|scope| {
        for (thread, returned) in returned.iter().enumerate() {
            scope.spawn(move || {
                // From 10 values to some pages' worth of text, so that writes cross page boundaries.
                let data: Vec<f32> = (0..10usize.pow(thread as u32 + 1).min(3000))
                    .map(|i| i as f32 * 0.37)
                    .collect();
                let name = format!("thread_{thread}");
                for position in 0.. {
                    assert_eq!(
                        recorder.log(&Event::new(&name, position), &data),
                        Logged::Written
                    );
                    returned.store(position as u64 + 1, Ordering::SeqCst);
                }
            });
        }
    });
}

/// What `kill -9` may not take: every record whose call had returned; and every line but the last is whole.
#[test]
fn killed_at_any_moment() {
    let started = Instant::now();
    let (mut logged, mut half_written) = (0, 0);
    let mut delay_us = 7919u64;
    for kill in 0..KILLS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let returned = shared_counters(&folder.path().join("counters"));
        let mut process = common::child("until killed")
            .env("FOLDER", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("the child starts");
        while returned
            .iter()
            .all(|count| count.load(Ordering::SeqCst) == 0)
        {
            assert_eq!(
                process.try_wait().expect("the child's state"),
                None,
                "the child ended by itself"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        // A different moment each time, up to 10 ms.
        delay_us = delay_us * 48_271 % 2_147_483_647;
        std::thread::sleep(Duration::from_micros(delay_us % 10_000));
        process.kill().expect("SIGKILL");
        process.wait().expect("the child's end");

        let trace = common::read(&folder.path().join("run.jsonl"));
        half_written += usize::from(!trace.ends_with_line_end);
        let allowed: &[usize] = if trace.ends_with_line_end {
            &[]
        } else {
            &[trace.lines]
        };
        assert!(
            trace.damaged.iter().all(|line| allowed.contains(line)),
            "kill {kill}: damaged lines {:?}",
            trace.damaged
        );
        let positions = trace.positions();
        for (thread, returned) in returned.iter().enumerate() {
            let found = positions
                .get(format!("thread_{thread}").as_str())
                .map_or(&[][..], |found| found);
            let returned = returned.load(Ordering::SeqCst);
            assert!(
                found.len() as u64 >= returned,
                "kill {kill}: {returned} calls returned, {} records",
                found.len()
            );
            assert!(
                found.iter().copied().eq(0..found.len() as i64),
                "kill {kill}: gaps or disorder"
            );
            logged += found.len();
        }
    }
    println!(
        "{KILLS} kills, {logged} records, {half_written} half-written last lines, {:.1?}",
        started.elapsed()
    );
}

#[test]
fn sixty_four_threads() {
    for detail in [Detail::Stats, Detail::Full] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.jsonl");
        let mut settings = settings(&path);
        settings.detail = detail;
        let recorder = Recorder::create(settings).expect("the trace opens");
        std::thread::scope(|scope| {
            for thread in 0..64 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for position in 0..200i64 {
                        let data = vec![(thread * 1000 + position) as f32; 20 + thread as usize];
                        let name = format!("thread_{thread}");
                        assert_eq!(
                            recorder.log(&Event::new(&name, position), &data),
                            Logged::Written
                        );
                    }
                });
            }
        });
        assert_eq!(recorder.status().written, 64 * 200);
        assert!(recorder.status().is_complete());
        let trace = common::read(&path);
        trace.assert_whole();
        assert_eq!(trace.records.len(), 64 * 200);
        assert_every_position(&trace, 64, 200);
        if detail == Detail::Full {
            assert_payloads(&trace, folder.path());
        }
    }
}

/// Every position once and in order, for each of `threads` threads.
fn assert_every_position(trace: &common::Trace, threads: usize, records: i64) {
    let positions = trace.positions();
    assert_eq!(positions.len(), threads);
    for (name, found) in positions {
        assert!(found.iter().copied().eq(0..records), "{name}: {found:?}");
    }
}

/// The payload of a record holds its own first value, again and again, and nobody else's.
fn assert_payloads(trace: &common::Trace, folder: &Path) {
    let mut files = std::collections::BTreeMap::new();
    for record in &trace.records {
        let payload = record.payload.as_ref().expect("full detail");
        let content: &Vec<u8> = files.entry(payload.file.clone()).or_insert_with(|| {
            std::fs::read(folder.join(&payload.file)).expect("the payload file")
        });
        let bytes = &content[payload.offset as usize..(payload.offset + payload.nbytes) as usize];
        assert_eq!(payload.offset % 64, 0);
        assert_eq!(bytes.len(), record.shape[0] * 4);
        for element in bytes.as_chunks::<4>().0 {
            assert_eq!(
                f64::from(f32::from_le_bytes(*element)),
                record.values[0],
                "{}",
                record.checkpoint
            );
        }
    }
}

fn log_as_one_of_eight() {
    let number: i64 = std::env::var("NUMBER")
        .expect("a number")
        .parse()
        .expect("a number");
    let mut settings = settings(std::env::var("TRACE").expect("a path"));
    settings.detail = Detail::Full;
    let recorder = Recorder::append(settings).expect("the trace opens");
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let recorder = &recorder;
            scope.spawn(move || {
                let name = format!("process_{number}_{thread}");
                for position in 0..500i64 {
                    let data = vec![(number * 10_000 + position) as f32; 300];
                    assert_eq!(
                        recorder.log(&Event::new(&name, position), &data),
                        Logged::Written
                    );
                }
            });
        }
    });
}

#[test]
fn eight_processes_on_one_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.jsonl");
    let children: Vec<_> = (0..8)
        .map(|number| {
            common::child("one of eight")
                .env("TRACE", &path)
                .env("NUMBER", number.to_string())
                .stdout(Stdio::null())
                .spawn()
                .expect("the child starts")
        })
        .collect();
    for mut process in children {
        assert!(process.wait().expect("the child's end").success());
    }
    let trace = common::read(&path);
    trace.assert_whole();
    assert_every_position(&trace, 16, 500);
    assert_payloads(&trace, folder.path());
    assert!(folder.path().join("run.run.json").exists());
}
