//! The check of a trace on disk.

use super::analyser::{Soundness, is_damaged};
use super::finding::Finding;
use crate::error::Error;
use crate::trace::Trace;
use serde::Serialize;

/// What a check of one trace found, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SoundnessReport {
    /// Version of this structure.
    pub format_version: u32,
    /// The file.
    pub trace: String,
    /// Records that were read.
    pub records: u64,
    /// True where a finding is an error: numbers in the trace are not what the engine computed.
    pub damaged: bool,
    /// The weightiest first.
    pub findings: Vec<Finding>,
}

/// Reads all of a trace and says whether it is sound.
///
/// `progress` is called with the bytes read so far.
///
/// # Errors
///
/// When the trace cannot be read. What is wrong with its contents is a finding, not an error.
pub fn check_trace(trace: &Trace, progress: &mut dyn FnMut(u64)) -> Result<SoundnessReport, Error> {
    let mut soundness = Soundness::of(trace);
    let mut records = trace.records()?;
    while let Some(entry) = records.next()? {
        soundness.observe_entry(&entry);
        progress(records.offset_bytes());
    }
    let records = soundness.records();
    let findings = soundness.finish();
    Ok(SoundnessReport {
        format_version: 1,
        trace: trace.path().display().to_string(),
        records,
        damaged: is_damaged(&findings),
        findings,
    })
}
