//! The report for people, 80 columns wide, and for programs.

use super::finding::{Finding, Records};
use super::report::SoundnessReport;
use std::fmt::Write;

const COLUMNS: usize = 80;

/// The report as plain text with a line end.
pub fn render_text(report: &SoundnessReport) -> String {
    let mut out = render_findings(&report.findings);
    let verdict = if report.damaged {
        "damaged: do not compare it"
    } else if report.findings.is_empty() {
        "sound"
    } else {
        "usable, with the reservations above"
    };
    let count = |name: &str| {
        report
            .findings
            .iter()
            .filter(|finding| finding.severity.name() == name)
            .count()
    };
    let summary = format!(
        "{}: {verdict} ({} records, errors {}, warnings {}, notes {})",
        report.trace.escape_debug(),
        report.records,
        count("error"),
        count("warning"),
        count("info"),
    );
    wrap(&summary, "", &mut out);
    out
}

/// Findings as plain text, each with an empty line behind it.
pub fn render_findings(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        render_finding(finding, &mut out);
        out.push('\n');
    }
    out
}

/// The report for other programs: one JSON object, indented, with a line end.
pub fn render_json(report: &SoundnessReport) -> String {
    let mut json =
        serde_json::to_string_pretty(report).expect("text and whole numbers have no error");
    json.push('\n');
    json
}

fn render_finding(finding: &Finding, out: &mut String) {
    wrap(
        &format!(
            "{}[{}]: {}",
            finding.severity.name(),
            finding.code,
            finding.title
        ),
        "",
        out,
    );
    field("evidence", &finding.evidence, out);
    if finding.records.count > 0 {
        field("where", &lines(&finding.records), out);
    }
    if let Some(cause) = &finding.cause {
        field("cause", cause, out);
    }
    field("advice", &finding.advice, out);
}

fn lines(records: &Records) -> String {
    let shown: Vec<String> = records.first_lines.iter().map(u64::to_string).collect();
    let more = records.count.saturating_sub(shown.len() as u64);
    let mut text = format!("line {}", shown.join(", "));
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn field(name: &str, text: &str, out: &mut String) {
    wrap(&format!("  {name:<9} {text}"), "            ", out);
}

/// Breaks at blanks; further lines begin with `indent`. A word longer than a line stays whole.
fn wrap(text: &str, indent: &str, out: &mut String) {
    let lead: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut width = 0;
    for (index, word) in text.trim_start().split(' ').enumerate() {
        let length = word.chars().count();
        if index == 0 {
            out.push_str(&lead);
            width = lead.len();
        } else if width + 1 + length > COLUMNS && !word.is_empty() {
            out.push('\n');
            out.push_str(indent);
            width = indent.len();
        } else {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn lines_fit() {
        let report = SoundnessReport {
            format_version: 1,
            trace: "run.jsonl".to_owned(),
            records: 9,
            damaged: true,
            findings: vec![Finding {
                code: "S001",
                severity: Severity::Error,
                title: "a title".to_owned(),
                evidence: "many words that go on ".repeat(12),
                cause: Some("unknown".to_owned()),
                advice: "none".to_owned(),
                records: Records {
                    count: 9,
                    first_lines: vec![1, 2, 3, 4, 5],
                },
            }],
        };
        let text = render_text(&report);
        assert!(
            text.lines().all(|line| line.chars().count() <= COLUMNS),
            "{text}"
        );
        assert!(text.contains("error[S001]: a title"));
        assert!(text.contains("line 1, 2, 3, 4, 5 and 4 more"));
        assert!(text.ends_with(
            "run.jsonl: damaged: do not compare it (9 records, errors 1, warnings 0, notes 0)\n"
        ));
    }
}
