//! The report for a CI system: a test case for each checkpoint.

use super::render::{Render, RenderMany};
use super::v1::{CheckpointSummary, Many, Report};
use super::words::{counted, is_harmless, number, sentence};
use crate::align::Place;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::io::{self, Write};

/// JUnit XML as Jenkins, GitLab and GitHub's reporters read it.
///
/// The first case, `verdict`, fails where the exit code is 1 and is in error where it is 3, so that the file agrees
/// with the exit code whatever single checkpoints say; checkpoints fail only where the comparison does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Junit;

impl Render for Junit {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        write(&[("numeric parity".to_owned(), report)], out)
    }
}

impl RenderMany for Junit {
    /// A suite for each candidate.
    fn render_many(&self, many: &Many, out: &mut dyn Write) -> io::Result<()> {
        let suites: Vec<(String, &Report)> = many
            .reports
            .iter()
            .map(|report| (format!("numeric parity: {}", report.candidate.path), report))
            .collect();
        write(&suites, out)
    }
}

fn fails(report: &Report, row: &CheckpointSummary) -> bool {
    report.exit_code == 1 && row.above_limit > 0
}

/// Cases, failures and errors of a suite.
fn totals(report: &Report) -> [usize; 3] {
    let rows = report.checkpoints.iter();
    let failures = rows.filter(|row| fails(report, row)).count();
    [
        report.checkpoints.len() + 1,
        failures + usize::from(report.exit_code == 1),
        usize::from(report.exit_code == 3),
    ]
}

fn counts(totals: [usize; 3]) -> Vec<(&'static str, String)> {
    let values = totals.map(|count| count.to_string());
    ["tests", "failures", "errors"]
        .into_iter()
        .zip(values)
        .collect()
}

fn write(suites: &[(String, &Report)], out: &mut dyn Write) -> io::Result<()> {
    let all = suites.iter().fold([0; 3], |mut sum, (_, report)| {
        for (sum, own) in sum.iter_mut().zip(totals(report)) {
            *sum += own;
        }
        sum
    });
    let mut xml = Writer::new_with_indent(out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    start(&mut xml, "testsuites", &counts(all))?;
    for (name, report) in suites {
        suite(&mut xml, name, report)?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuites")))?;
    xml.into_inner().write_all(b"\n")
}

fn suite(xml: &mut Xml<'_>, name: &str, report: &Report) -> io::Result<()> {
    let mut attributes = vec![("name", legal(name))];
    attributes.extend(counts(totals(report)));
    start(xml, "testsuite", &attributes)?;
    let mut reasons: Vec<String> = report
        .reasons
        .iter()
        .map(|reason| sentence(reason))
        .collect();
    let causes = report.causes.iter().take(3);
    reasons.extend(causes.map(|cause| {
        let claim = format!("{} cause {}: {}", cause.certainty, cause.code, cause.claim);
        sentence(&claim)
    }));
    case(
        xml,
        "parity",
        "verdict",
        match report.exit_code {
            1 => Some("failure"),
            3 => Some("error"),
            _ => None,
        },
        reasons.first().map_or(&report.verdict, |reason| reason),
        &reasons.join("\n"),
    )?;
    for row in &report.checkpoints {
        let outcome = fails(report, row).then_some("failure");
        let class = match Place::of(&row.checkpoint) {
            Some(Place::Layer(layer, _)) => format!("parity.layer_{layer}"),
            _ => "parity".to_owned(),
        };
        let what = described(row);
        case(xml, &class, &row.checkpoint, outcome, &what, &what)?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuite")))
}

fn described(row: &CheckpointSummary) -> String {
    let limit = row.max_nmse.map_or_else(String::new, |limit| {
        format!(", limit {}", number(limit.0.sqrt()))
    });
    format!(
        "relative RMSE {}{limit}, largest at position {}; {} of {} above the limit",
        number(row.worst_relative_rmse.0),
        row.worst_token_idx,
        row.above_limit,
        counted(row.pairs, "pair")
    )
}

type Xml<'w> = Writer<&'w mut dyn Write>;

fn start(xml: &mut Xml<'_>, name: &str, attributes: &[(&str, String)]) -> io::Result<()> {
    xml.write_event(Event::Start(element(name, attributes)))
}

fn element<'n>(name: &'n str, attributes: &[(&str, String)]) -> BytesStart<'n> {
    let mut element = BytesStart::new(name);
    for (name, value) in attributes {
        element.push_attribute((*name, value.as_str()));
    }
    element
}

fn case(
    xml: &mut Xml<'_>,
    class: &str,
    name: &str,
    outcome: Option<&str>,
    message: &str,
    body: &str,
) -> io::Result<()> {
    let attributes = [
        ("classname", class.to_owned()),
        ("name", legal(name)),
        ("time", "0".to_owned()),
    ];
    let inner = outcome.unwrap_or("system-out");
    let message = [("message", legal(message))];
    start(xml, "testcase", &attributes)?;
    start(xml, inner, if outcome.is_some() { &message } else { &[] })?;
    xml.write_event(Event::Text(BytesText::new(&legal(body))))?;
    xml.write_event(Event::End(BytesEnd::new(inner)))?;
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

/// XML has no control characters, not even as references; and a name of a page would hide all others.
fn legal(text: &str) -> String {
    const MOST: usize = 2000;
    let mut out = String::new();
    for c in text.chars().take(MOST) {
        match c {
            '\n' => out.push('\n'),
            '\u{fffe}' | '\u{ffff}' => out.extend(c.escape_unicode()),
            c if is_harmless(c) => out.push(c),
            c => out.extend(c.escape_default()),
        }
    }
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}
