//! `S030`: lines that are no records, and records about the logger.
//!
//! **What.** Lines that cannot be parsed, a last line that was cut off, numbers that JSON does not have, the logger's own word that
//! it lost records, names beyond counting, and a file without any record.
//!
//! **Why it matters.** What was not read is not compared, and a comparison of nothing passes.
//!
//! **Evidence wanted.** The parser's word.
//!
//! **What it can't tell.** What stood on a line.

use super::finding::{Finding, Records, Severity, counted};
use crate::align::Names;

const CODE: &str = "S030";

/// Collects what is wrong with lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    malformed: Records,
    first_message: Option<String>,
    half_written: Records,
    lenient: Records,
    dropped: Records,
    lost: f64,
    unnamed: Records,
}

impl Lines {
    /// Notes a line that is not a record.
    pub(super) fn malformed(
        &mut self,
        line: u64,
        column: usize,
        message: &str,
        half_written: bool,
    ) {
        if half_written {
            self.half_written.add(line);
            return;
        }
        self.malformed.add(line);
        self.first_message
            .get_or_insert_with(|| format!("line {line}, column {column}: {message}"));
    }

    /// Notes a record with a number that JSON does not have.
    pub(super) fn lenient(&mut self, line: u64) {
        self.lenient.add(line);
    }

    /// Notes the logger's word that it lost records.
    pub(super) fn dropped(&mut self, line: u64, lost: f64) {
        self.dropped.add(line);
        self.lost += lost;
    }

    /// Notes a record whose name is one too many.
    pub(super) fn unnamed(&mut self, line: u64) {
        self.unnamed.add(line);
    }

    /// What was found.
    pub(super) fn finish(&mut self, records: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |severity,
                       title: &str,
                       evidence: String,
                       cause: Option<&str>,
                       advice: &str,
                       records: &Records| {
            findings.push(Finding {
                code: CODE,
                severity,
                title: title.to_owned(),
                evidence,
                cause: cause.map(str::to_owned),
                advice: advice.to_owned(),
                records: records.clone(),
            });
        };
        if records == 0 {
            let unread = self.malformed.count + self.half_written.count;
            let evidence = match unread {
                0 => "the file is empty".to_owned(),
                1 => "its only line is no record".to_owned(),
                _ => format!("none of its {} is a record", counted(unread, "line")),
            };
            let advice = "was the engine built with its logging feature, and `ORCH_LOG_FILE` set? Hooks that were registered after \
                          a model was compiled, or that a captured graph does not replay, never run";
            add(
                Severity::Error,
                "no records",
                evidence,
                None,
                advice,
                &Records::default(),
            );
        }
        if let Some(first) = self.first_message.take() {
            let evidence = format!("{} skipped; {first}", counted(self.malformed.count, "line"));
            let advice = "find out what writes there: records of several threads or processes that were not single writes";
            add(
                Severity::Warning,
                "lines that are not records",
                evidence,
                None,
                advice,
                &self.malformed,
            );
        }
        if self.half_written.count > 0 {
            let cause = "the writer was stopped in the middle of a line: killed, or a full disk";
            let advice =
                "everything before it can be used; records of a buffered logger may be missing";
            add(
                Severity::Warning,
                "the last line is cut off",
                "it was skipped".to_owned(),
                Some(cause),
                advice,
                &self.half_written,
            );
        }
        if self.dropped.count > 0 {
            let evidence = format!("the logger says that it lost {} records", self.lost);
            let advice = "disk full, or `ORCH_LOG_MAX_BYTES` reached";
            add(
                Severity::Warning,
                "records were lost",
                evidence,
                None,
                advice,
                &self.dropped,
            );
        }
        if self.unnamed.count > 0 {
            let evidence = format!(
                "more than {} names; {} not checked",
                Names::MAX,
                counted(self.unnamed.count, "record")
            );
            let advice = "put positions and layers into their fields instead of the name";
            add(
                Severity::Warning,
                "too many checkpoint names",
                evidence,
                None,
                advice,
                &self.unnamed,
            );
        }
        if self.lenient.count > 0 {
            let evidence = format!(
                "{} have `null` or a bare `NaN`, `nan`, `inf`; the format has \"NaN\", \"Infinity\"",
                counted(self.lenient.count, "record")
            );
            let advice = "nothing to do here; strict JSON readers will refuse the file";
            add(
                Severity::Info,
                "numbers that JSON does not have",
                evidence,
                None,
                advice,
                &self.lenient,
            );
        }
        findings
    }
}
