//! What several tests need: child processes of the test itself, and traces read back.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use orch_log::format::{Record, parse_line};

/// The variable that tells a copy of the test program which part to play.
pub(crate) const ROLE: &str = "ORCH_LOG_TEST_ROLE";

/// The part that this process is asked to play, in the test `child`.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// This test program once more, running only its test `child`, with no settings of the logger.
pub(crate) fn child(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of the test program"));
    command
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role);
    for (variable, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORCH_LOG_"))
    {
        if variable != ROLE {
            command.env_remove(variable);
        }
    }
    command
}

/// A trace as read: its records, and the numbers of the lines that are none.
pub(crate) struct Trace {
    pub(crate) records: Vec<Record>,
    pub(crate) damaged: Vec<usize>,
    pub(crate) lines: usize,
    pub(crate) ends_with_line_end: bool,
}

pub(crate) fn read(path: &Path) -> Trace {
    let content = fs::read(path).expect("the trace can be read");
    let mut trace = Trace {
        records: Vec::new(),
        damaged: Vec::new(),
        lines: 0,
        ends_with_line_end: content.last().is_none_or(|byte| *byte == b'\n'),
    };
    for (line, number) in content.split(|byte| *byte == b'\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        trace.lines = number;
        match parse_line(line) {
            Ok(parsed) => trace.records.push(parsed.record),
            Err(_) => trace.damaged.push(number),
        }
    }
    trace
}

impl Trace {
    /// Positions in the order of the file, for each checkpoint.
    pub(crate) fn positions(&self) -> BTreeMap<&str, Vec<i64>> {
        let mut positions: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for record in &self.records {
            positions
                .entry(&record.checkpoint)
                .or_default()
                .push(record.token_idx);
        }
        positions
    }

    /// Fails unless every line is a record.
    pub(crate) fn assert_whole(&self) {
        assert_eq!(self.damaged, [0usize; 0], "damaged lines");
        assert!(self.ends_with_line_end, "the last line has no end");
    }
}
