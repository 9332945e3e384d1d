//! Damage is found, and nothing else is.
//!
//! Mistakes of tools that others have reported, as far as one trace shows them, and where they are tested:
//!
//! | mistake | test |
//! |---|---|
//! | buffers reused by later tensors (ggml 700) | `memory::pointers_into_a_ring_of_two_buffers` |
//! | hooks that run at capture only (SGLang 38439) | `memory::a_hook_that_ran_once` |
//! | hooks that never run (PyTorch 117758) | `on_disk::lines_that_are_no_records`, the empty file |
//! | a copy read before the transfer ended (PyTorch 86264) | `memory::zeros_among_data`, `memory::a_hook_that_ran_once`; late by a constant number of steps it shows against a second trace only |
//! | too few digits (llama.cpp 17028) | `values::few_digits` |
//! | a checksum of the printed values only (llama.cpp 15637) | `values::contradictions`, the mean |
//! | a correlation of constants (tt-metal 24928) | `values::constant_tensors` |
//! | NaN in JSON (SGLang 20714), NaN counts that understate (flash-linear-attention 1080) | `on_disk::lines_that_are_no_records`, `values::not_finite` |
//! | dimensions reversed (llama.cpp 6040) | `values::contradictions`, the token count |
//! | a log lost in a crash (codebase-memory-mcp 1644) | `on_disk::lines_that_are_no_records`, the half-written line |
//! | dumps that lack records (miles 2821) | `bookkeeping::missing_positions_and_layers` |
//!
//! Layer indices off by one, shards, teacher forcing, missing or double BOS, transformed references and tolerances need two
//! traces: see the comparison's tests.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod damaged;
mod field_logs;
mod generator;
mod hostile;
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
