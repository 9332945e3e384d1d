//! Why is there no trace, or nothing in it?

use super::finding;
use crate::check::soundness::{Finding, Severity, check_trace};
use crate::error::Error;
use crate::trace::{Entry, Trace};
use std::fs;
use std::path::Path;

/// Malformed lines that are shown one by one.
const SHOWN: usize = 5;

/// Checks that a trace exists, has records, and is sound.
///
/// # Errors
///
/// The trace exists and cannot be read.
pub fn diagnose_trace(path: &Path) -> Result<Vec<Finding>, Error> {
    let shown = path.display();
    let length = match fs::metadata(path) {
        Ok(data) => data.len(),
        Err(reason) => {
            return Ok(vec![finding(
                "D010",
                Severity::Error,
                "there is no trace",
                format!("`{shown}`: {reason}"),
                "was ORCH_LOG_FILE set where the engine runs, and is the logger compiled in? \
                 `parity doctor --env --engine PROGRAM` answers both"
                    .to_owned(),
            )]);
        }
    };
    if length == 0 {
        return Ok(vec![finding(
            "D011",
            Severity::Error,
            "the trace is empty",
            format!("`{shown}` has 0 bytes: the engine opened it and wrote no record"),
            "the engine never reached a logging call, or ORCH_LOG_FILTER or ORCH_LOG_TOKENS let nothing \
             through: unset both, and make sure that the code path which logs is the one that runs"
                .to_owned(),
        )]);
    }
    let trace = Trace::open(path)?;
    let mut findings = contents(&trace)?;
    findings.extend(check_trace(&trace, &mut |_| ())?.findings);
    Ok(findings)
}

/// What is missing or unreadable, told line by line.
fn contents(trace: &Trace) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let (mut records, mut malformed, mut dropped) = (0u64, 0usize, None);
    let mut entries = trace.records()?;
    while let Some(entry) = entries.next()? {
        match entry {
            Entry::Record(located) if located.record.checkpoint == "orch_log.dropped" => {
                dropped = Some(located.record.values.clone());
            }
            Entry::Record(_) => records += 1,
            Entry::Malformed(line) => {
                malformed += 1;
                if malformed <= SHOWN {
                    findings.push(finding(
                        "D012",
                        Severity::Warning,
                        "a line is no record",
                        format!("{}:{}:{}: {}", trace.path().display(), line.line, line.column, line.message),
                        "the line is skipped; if the engine writes its own JSON, `python3 -m json.tool --json-lines` \
                         names what is wrong with it"
                            .to_owned(),
                    ));
                }
            }
        }
    }
    if let Some(counts) = dropped {
        let count = |index: usize| counts.get(index).copied().unwrap_or(0.0);
        findings.push(finding(
            "D013",
            Severity::Error,
            "the logger lost records",
            format!("{} records and {} payloads could not be written", count(0), count(1)),
            "look for a full disk, a limit in ORCH_LOG_MAX_BYTES or a file size limit (ulimit -f), and run again".to_owned(),
        ));
    }
    if records == 0 {
        findings.push(finding(
            "D014",
            Severity::Error,
            "the trace has no record",
            format!("{malformed} lines, none of them a record"),
            "a record is one JSON object a line with at least checkpoint, token_idx, dtype, shape and values: see \
             spec/trace-format.md"
                .to_owned(),
        ));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "{\"checkpoint\":\"x\",\"team\":\"t\",\"token_idx\":0,\"dtype\":\"f32\",\"shape\":\"[3]\",\"values\":[0.5,-1.25,2.0]}\n";

    fn codes(text: Option<&str>) -> Vec<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let findings = diagnose_trace(&path).unwrap();
        let own = findings
            .iter()
            .filter(|finding| finding.code.starts_with('D'));
        own.map(|finding| finding.code).collect()
    }

    #[test]
    fn each_state_of_a_trace_has_its_finding() {
        assert_eq!(codes(None), ["D010"]);
        assert_eq!(codes(Some("")), ["D011"]);
        assert_eq!(codes(Some(RECORD)), [""; 0]);
        assert_eq!(codes(Some("{\"checkpoint\":}\n")), ["D012", "D014"]);
        assert_eq!(codes(Some(&format!("{RECORD}nonsense\n"))), ["D012"]);
        let dropped = RECORD.replace("\"x\"", "\"orch_log.dropped\"");
        assert_eq!(codes(Some(&format!("{RECORD}{dropped}"))), ["D013"]);
    }

    #[test]
    fn a_malformed_line_is_named_with_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        fs::write(&path, format!("{RECORD}{{\"checkpoint\":}}\n")).unwrap();
        let findings = diagnose_trace(&path).unwrap();
        assert!(
            findings[0].evidence.contains("run.jsonl:2:15: "),
            "{}",
            findings[0].evidence
        );
    }
}
