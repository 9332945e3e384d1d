//! `S039`: payloads that are missing or short.
//!
//! **What.** A record that names bytes which are not there, or not as many as its shape needs.
//!
//! **Why it matters.** A payload is written before the record that names it, so what is missing was lost later: the file was not
//! copied along, or cut.
//!
//! **Evidence wanted.** Whoever reads the trace says so, record by record (see [`Soundness::with_payloads`]); this module
//! opens no files.
//!
//! **What it can't tell.** Whether the bytes that are there are the right ones.
//!
//! [`Soundness::with_payloads`]: super::Soundness::with_payloads

use super::finding::{Finding, Records, Severity, counted};

const CODE: &str = "S039";

/// Collects what is wrong with payloads.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    records: Records,
    first: Option<String>,
}

impl Payloads {
    /// Notes the fault of a record's payload.
    pub(super) fn fault(&mut self, line: u64, fault: String) {
        self.records.add(line);
        self.first.get_or_insert(fault);
    }

    /// What was found.
    pub(super) fn finish(&mut self) -> Option<Finding> {
        let first = self.first.take()?;
        Some(Finding {
            code: CODE,
            severity: Severity::Warning,
            title: "payloads that cannot be used".to_owned(),
            evidence: format!("{}; line {}: {first}", counted(self.records.count, "record"), self.records.first()),
            cause: None,
            advice: "keep the `.tensors` files beside the trace; without them the statistics and sketches are compared".to_owned(),
            records: std::mem::take(&mut self.records),
        })
    }
}
