//! `orch_log!` with the settings of the environment, in processes of their own.

#![cfg(all(feature = "read", feature = "orch_logging"))]

mod common;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use orch_log::format::{DROPPED, Dtype, Record, parse_run};
use orch_log::{TensorView, orch_log};

#[test]
fn child() {
    match common::role().as_deref() {
        Some("log") => log_some(),
        Some("race") => race_for_the_first_use(),
        Some("early and late") => during_and_at_the_end(),
        Some("ending threads") => log_while_threads_end(),
        _ => {}
    }
}

fn log_some() {
    let ids = [504i32, 3575, 253];
    orch_log!("tokens", &ids, 0; n_tokens = ids.len(), step = 0);
    for position in 0..4 {
        let values: Vec<f32> = (0..20).map(|i| i as f32 + position as f32).collect();
        orch_log!("layer_0_output", &values, position);
        orch_log!("layer_0_q", &values, position, [1, 4, 5]; n_tokens = 1, step = position, op = "MUL_MAT", src = &["a"]);
        orch_log!(
            "layer_1_output",
            TensorView::strided(&values, &[5], &[4], 0).expect("inside"),
            position,
            "[5]"
        );
    }
}

/// A finished child: what it printed, and the trace that it may have left.
struct Outcome {
    stderr: String,
    trace: Option<common::Trace>,
    folder: tempfile::TempDir,
}

fn run(role: &str, variables: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_in(folder, role, variables, "run.jsonl")
}

fn run_in(
    folder: tempfile::TempDir,
    role: &str,
    variables: &[(&str, &str)],
    file: &str,
) -> Outcome {
    let path: PathBuf = folder.path().join(file);
    let path = if file.is_empty() {
        OsStr::new("")
    } else {
        path.as_os_str()
    };
    let outcome = common::child(role)
        .env("ORCH_LOG_FILE", path)
        .envs(variables.iter().copied())
        .output()
        .expect("the child runs");
    let stdout = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{stdout}");
    Outcome {
        stderr: String::from_utf8_lossy(&outcome.stderr).into_owned(),
        trace: Path::new(path)
            .is_file()
            .then(|| common::read(Path::new(path))),
        folder,
    }
}

impl Outcome {
    fn trace(&self) -> &common::Trace {
        self.trace.as_ref().expect("a trace")
    }
}

#[test]
fn nothing_without_a_file() {
    let outcome = run_in(
        tempfile::tempdir().expect("a folder"),
        "log",
        &[("ORCH_LOG_TEAM", "x")],
        "",
    );
    assert_eq!(outcome.stderr, "");
    assert_eq!(
        std::fs::read_dir(outcome.folder.path())
            .expect("the folder")
            .count(),
        0
    );
}

/// Records that were lost last have none after them that would tell of them.
#[test]
fn losses_are_told_at_the_end() {
    let all = run("log", &[]).trace().records.len();
    for buffer in ["0", "64K"] {
        let variables = [("ORCH_LOG_MAX_BYTES", "1500"), ("ORCH_LOG_BUFFER", buffer)];
        let outcome = run("log", &variables);
        let records = &outcome.trace().records;
        let is_dropped = |record: &&Record| record.checkpoint == DROPPED;
        let written = records.len() - records.iter().filter(is_dropped).count();
        assert!(written > 0 && written < all, "{written} of {all}");
        let last = records.last().expect("records");
        assert_eq!(
            (last.checkpoint.as_str(), last.values[0] as usize),
            (DROPPED, all - written),
            "buffer {buffer}"
        );
    }
}

#[test]
fn defaults() {
    let outcome = run("log", &[]);
    assert_eq!(outcome.stderr, "");
    let trace = outcome.trace();
    trace.assert_whole();
    assert_eq!(trace.records.len(), 13);
    let [tokens, output, q, strided] = &trace.records[..4] else {
        panic!("four records")
    };
    assert_eq!(
        (tokens.checkpoint.as_str(), tokens.dtype, tokens.n_tokens),
        ("tokens", Dtype::I32, 3)
    );
    assert_eq!(
        (output.shape.as_slice(), output.values.len()),
        (&[20][..], 10)
    );
    assert!(
        output.team.starts_with("environment"),
        "the program's name: {}",
        output.team
    );
    assert_eq!(
        output.stats.map(|stats| (stats.n, stats.min, stats.max)),
        Some((20, 0.0, 19.0))
    );
    assert!(output.sketch.is_some() && output.payload.is_none() && output.ts_ns.is_none());
    assert_eq!(
        (q.shape.as_slice(), q.step, q.op.as_deref()),
        (&[1, 4, 5][..], Some(0), Some("MUL_MAT"))
    );
    assert_eq!(q.src, ["a"]);
    assert_eq!(
        (strided.shape.as_slice(), strided.values.as_slice()),
        (&[5][..], &[0.0, 4.0, 8.0, 12.0, 16.0][..])
    );

    let run_file = std::fs::read(outcome.folder.path().join("run.run.json")).expect("a run file");
    let run_file = parse_run(&run_file).expect("a run");
    assert_eq!(run_file.team, output.team);
    assert!(run_file.argv.len() > 1 && run_file.pid > 0 && run_file.started_at.ends_with('Z'));
    assert_eq!(
        std::fs::read_dir(outcome.folder.path())
            .expect("the folder")
            .count(),
        2
    );
}

#[test]
fn every_setting() {
    let outcome = run(
        "log",
        &[
            ("ORCH_LOG_TEAM", "worker-orcd"),
            ("ORCH_LOG_VALUES", "2"),
            ("ORCH_LOG_DETAIL", "full"),
            ("ORCH_LOG_FILTER", "*_output,!layer_1*"),
            ("ORCH_LOG_TOKENS", "2-"),
            ("ORCH_LOG_TS", "1"),
            ("ORCH_LOG_BUFFER", "4K"),
        ],
    );
    assert_eq!(outcome.stderr, "");
    let trace = outcome.trace();
    assert_eq!(
        trace.positions().into_iter().collect::<Vec<_>>(),
        [("layer_0_output", vec![2, 3]), ("tokens", vec![0])]
    );
    let [tokens, output, _] = &trace.records[..] else {
        panic!("three records")
    };
    assert_eq!(tokens.values, [504.0, 3575.0, 253.0]);
    assert_eq!(
        (output.team.as_str(), output.values.len()),
        ("worker-orcd", 2)
    );
    assert!(
        output
            .ts_ns
            .is_some_and(|ns| ns > 1_600_000_000_000_000_000)
    );
    let payload = output.payload.as_ref().expect("full detail");
    let bytes = std::fs::read(outcome.folder.path().join(&payload.file)).expect("a payload file");
    let start = payload.offset as usize;
    assert_eq!(
        bytes[start..start + 8],
        [2f32.to_le_bytes(), 3f32.to_le_bytes()].concat()
    );
}

#[test]
fn values_none_and_all() {
    for (setting, expected) in [("0", 0), ("all", 20)] {
        let outcome = run(
            "log",
            &[("ORCH_LOG_VALUES", setting), ("ORCH_LOG_DETAIL", "values")],
        );
        let record = &outcome.trace().records[1];
        assert_eq!(record.values.len(), expected);
        assert!(record.stats.is_none() && record.sketch.is_none());
    }
}

#[test]
fn unusable_settings_are_told_in_one_line() {
    let outcome = run(
        "log",
        &[
            ("ORCH_LOG_VALUES", "many"),
            ("ORCH_LOG_DETAIL", "all"),
            ("ORCH_LOG_MAX_BYTES", "1.5G"),
            ("ORCH_LOG_FILTER", " "),
        ],
    );
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    for part in [
        "orch_log: ",
        "ORCH_LOG_VALUES=`many`",
        "ORCH_LOG_DETAIL=`all`",
        "ORCH_LOG_MAX_BYTES=`1.5G`",
    ] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    assert_eq!(outcome.trace().records.len(), 13);
    assert_eq!(outcome.trace().records[1].values.len(), 10);
}

#[test]
fn a_trace_that_cannot_be_opened_is_told_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = run_in(folder, "log", &[], "missing/run.jsonl");
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("missing/run.jsonl")
            && outcome.stderr.contains("nothing is logged")
    );
}

#[test]
fn an_existing_trace_is_appended_to() {
    let first = run("log", &[]);
    let run_file = std::fs::read(first.folder.path().join("run.run.json")).expect("a run file");
    let second = run_in(first.folder, "log", &[], "run.jsonl");
    second.trace().assert_whole();
    assert_eq!(second.trace().records.len(), 26);
    let kept = std::fs::read(second.folder.path().join("run.run.json")).expect("a run file");
    assert_eq!(
        kept, run_file,
        "the description of the run that started the trace"
    );
}

fn race_for_the_first_use() {
    let barrier = std::sync::Barrier::new(16);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                orch_log!(format!("thread_{thread}"), &[1.0f32], thread);
            });
        }
    });
}

#[test]
fn threads_may_race_for_the_first_use() {
    for _ in 0..20 {
        let outcome = run(
            "race",
            &[("ORCH_LOG_DETAIL", "full"), ("ORCH_LOG_VALUES", "none")],
        );
        outcome.trace().assert_whole();
        assert_eq!(outcome.trace().records.len(), 16);
        assert_eq!(
            outcome.stderr.lines().count(),
            1,
            "only one of them complains: {}",
            outcome.stderr
        );
    }
}

/// Runs before `main`, like the constructor of a C++ global.
extern "C" fn before_main() {
    if common::role().as_deref() == Some("early and late") {
        orch_log!("before_main", &[1.0f32], 0);
    }
}

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn after_main() {
    orch_log!("after_main", &[1.0f32], 0);
}

fn during_and_at_the_end() {
    // SAFETY: registers a function that lives as long as the program.
    assert_eq!(unsafe { libc::atexit(after_main) }, 0);
    orch_log!("during_main", &[1.0f32], 0);
}

#[test]
fn before_and_after_main() {
    for buffer in ["0", "64K"] {
        let outcome = run("early and late", &[("ORCH_LOG_BUFFER", buffer)]);
        let mut names: Vec<_> = outcome
            .trace()
            .records
            .iter()
            .map(|record| record.checkpoint.as_str())
            .collect();
        if buffer == "0" {
            assert_eq!(names, ["before_main", "during_main", "after_main"]);
        } else {
            // The test harness logs from a thread that ends, and `exit` runs the main thread's destructors before
            // `atexit` functions; what those log in buffered mode is documented to be lost or not.
            names.retain(|name| *name != "after_main");
            assert_eq!(names.len(), 2, "{names:?}");
        }
    }
}

/// Logs when its thread ends, maybe after the logger's own thread-locals are gone.
struct LogsWhenDropped(&'static str);

impl Drop for LogsWhenDropped {
    fn drop(&mut self) {
        orch_log!(self.0, &[1.0f32; 100], 0);
    }
}

thread_local! {
    static FIRST: LogsWhenDropped = const { LogsWhenDropped("registered_first") };
    static LAST: LogsWhenDropped = const { LogsWhenDropped("registered_last") };
}

fn log_while_threads_end() {
    for _ in 0..3 {
        let thread = std::thread::spawn(|| {
            FIRST.with(|_| {});
            orch_log!("in_thread", &[1.0f32; 100], 0);
            LAST.with(|_| {});
        });
        thread.join().expect("the thread ends well");
    }
}

#[test]
fn a_thread_that_ends_loses_nothing() {
    for buffer in ["0", "64K"] {
        let outcome = run("ending threads", &[("ORCH_LOG_BUFFER", buffer)]);
        outcome.trace().assert_whole();
        let positions = outcome.trace().positions();
        for name in ["in_thread", "registered_first", "registered_last"] {
            assert_eq!(
                positions.get(name).map(Vec::len),
                Some(3),
                "{name}, buffer {buffer}: {positions:?}"
            );
        }
    }
}
