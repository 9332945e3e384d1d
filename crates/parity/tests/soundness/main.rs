//! Damage is found, and nothing else is.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod damaged;
mod field_logs;
mod generator;
mod on_disk;
mod programs;
mod silence;

use orch_log::format::parse_line;
use parity::check::soundness::{Finding, Severity, Soundness};

/// The findings of a trace in memory.
pub(crate) fn check(lines: &str) -> Vec<Finding> {
    let mut soundness = Soundness::new();
    for (index, line) in lines.lines().enumerate() {
        let parsed = parse_line(line.as_bytes())
            .unwrap_or_else(|error| panic!("line {}: {error}: {line}", index + 1));
        soundness.observe(&parsed.record, index as u64 + 1);
    }
    soundness.finish()
}

/// Codes of the findings that weigh at least so much.
pub(crate) fn codes(findings: &[Finding], least: Severity) -> Vec<&'static str> {
    findings
        .iter()
        .filter(|finding| finding.severity >= least)
        .map(|finding| finding.code)
        .collect()
}
