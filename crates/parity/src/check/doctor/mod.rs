//! Why is there no trace, or no use in it? What a person would check first, checked.

mod alignment;
mod engine;
mod environment;
mod trace_file;

pub use alignment::diagnose_alignment;
pub use engine::diagnose_engine;
pub use environment::diagnose_environment;
pub use trace_file::diagnose_trace;

use super::soundness::{Finding, Records, Severity, render_findings};
use serde::Serialize;

/// A finding about no record in particular.
fn finding(
    code: &'static str,
    severity: Severity,
    title: &str,
    evidence: String,
    advice: String,
) -> Finding {
    Finding {
        code,
        severity,
        title: title.to_owned(),
        evidence,
        cause: None,
        advice,
        records: Records::default(),
    }
}

/// What the doctor found, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// Version of this structure.
    pub format_version: u32,
    /// True where nothing stands in the way of logging and comparing.
    pub healthy: bool,
    /// What was found, in the order in which it was looked for.
    pub findings: Vec<Finding>,
}

impl DoctorReport {
    /// Judges findings: an error stands in the way, a warning does not.
    pub fn new(findings: Vec<Finding>) -> Self {
        let healthy = findings
            .iter()
            .all(|finding| finding.severity < Severity::Error);
        Self {
            format_version: 1,
            healthy,
            findings,
        }
    }

    /// For people, 80 columns wide; the last line says whether all is well.
    pub fn to_text(&self) -> String {
        let verdict = if self.healthy {
            "nothing stands in the way"
        } else {
            "not well, see the errors above"
        };
        format!("{}doctor: {verdict}\n", render_findings(&self.findings))
    }

    /// One JSON object, indented, with a line end.
    pub fn to_json(&self) -> String {
        let json =
            serde_json::to_string_pretty(self).expect("text and whole numbers have no error");
        json + "\n"
    }
}
