//! The report on one screen: where, why, how sure.

use super::heat::symbol;
use super::logits;
use super::page::{Page, WIDTH, style};
use super::tables;
use crate::report::render::Render;
use crate::report::v1::{Report, TraceSummary};
use crate::report::words::{count, counted, number, sentence};
use std::io::{self, Write};

/// Plain text of 80 columns and at most 24 lines; [`Text`](super::Text) has the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// ANSI colours.
    pub color: bool,
    /// Block characters for the line of errors; without it digits.
    pub unicode: bool,
}

/// Lines for the reasons: the rest of the page has 15 at most.
const REASON_LINES: usize = 8;

impl Render for Screen {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let mut page = Page::new(self.color, self.unicode);
        tables::title(&mut page, report);
        let why = causes(&page, report);
        let mut left = REASON_LINES - why.len();
        for reason in &report.reasons {
            let lines = page.filled("  ", &sentence(reason));
            if lines.len() > left {
                if left > 0 {
                    page.line(style::FAINT, "  and more (-v)");
                }
                break;
            }
            left -= lines.len();
            for line in lines {
                page.line(style::PLAIN, &line);
            }
        }
        for line in why {
            page.line(style::BOLD, &line);
        }
        sparkline(&mut page, report);
        page.end_line();
        let mut fact = |name: &str, text: &str| {
            page.put(style::FAINT, &format!("  {name:<11}"));
            let text = page.cell(text, WIDTH - 13);
            page.line(style::PLAIN, text.trim_end());
        };
        fact("reference", &trace(&report.reference));
        fact("candidate", &trace(&report.candidate));
        fact("compared", &compared(report));
        if report.coverage.compared > 0 {
            fact("limit", &report.limit.reason);
        }
        if let Some(text) = logits::short(report) {
            fact("logits", &text);
        }
        if let Some(text) = findings(report) {
            fact("findings", &text);
        }
        page.line(
            style::FAINT,
            "  more: -v, --checkpoint 'layer_3_*', --format html -o report.html",
        );
        tables::last_line(&mut page, report);
        out.write_all(page.finish().as_bytes())
    }
}

/// The likeliest cause in at most three lines.
fn causes(page: &Page, report: &Report) -> Vec<String> {
    let Some(cause) = report.causes.first() else {
        return Vec::new();
    };
    let others = report.causes.len() - 1;
    let more = match others {
        0 => String::new(),
        _ => format!(" (or {} more)", count(others as u64)),
    };
    let text = format!(
        "{} cause{more}, {}: {}",
        cause.certainty, cause.code, cause.claim
    );
    let mut lines = page.filled("  ", &sentence(&text));
    lines.truncate(3);
    lines
}

/// Columns of the line of errors.
const COLUMNS: usize = 64;

/// The error along the dataflow: each column the worst of some neighbouring checkpoints.
fn sparkline(page: &mut Page, report: &Report) {
    let rows = &report.checkpoints;
    if rows.len() < 2 {
        return;
    }
    let columns = rows.len().min(COLUMNS);
    let column_of = |index: usize| index * columns / rows.len();
    let mut cells = vec![(0.0_f64, false); columns];
    for (index, row) in rows.iter().enumerate() {
        let (error, above) = &mut cells[column_of(index)];
        let own = row.worst_relative_rmse.0;
        *error = if own.is_nan() {
            f64::INFINITY
        } else {
            error.max(own)
        };
        *above |= row.above_limit > 0;
    }
    page.heading("Relative error along the dataflow");
    page.put(style::PLAIN, "  ");
    for (error, above) in cells {
        let color = match (above, error == 0.0) {
            (true, _) => style::BAD,
            (_, true) => style::FAINT,
            _ => style::GOOD,
        };
        page.put(color, &symbol(error, page.unicode()).to_string());
    }
    page.end_line();
    let first = report.first_divergence.as_ref().and_then(|first| {
        rows.iter()
            .position(|row| row.checkpoint == first.checkpoint)
    });
    let ends = format!(
        "{} to {}",
        page.cell(&rows[0].checkpoint, 24).trim_end(),
        page.cell(&rows[rows.len() - 1].checkpoint, 24).trim_end()
    );
    let largest = rows
        .iter()
        .map(|row| row.worst_relative_rmse.0)
        .fold(0.0, f64::max);
    match first {
        Some(index) => {
            let column = column_of(index);
            let mark = if page.unicode() { "▲" } else { "^" };
            let text = format!("first divergence; largest {}", number(largest));
            let line = if column + 4 + text.len() > WIDTH - 2 {
                format!(
                    "{:>1$} {mark}",
                    text,
                    column.saturating_sub(1).max(text.len())
                )
            } else {
                format!("{}{mark} {text}", " ".repeat(column))
            };
            page.line(style::BAD, &format!("  {line}"));
        }
        None => page.line(
            style::FAINT,
            &format!("  {ends}; largest {}", number(largest)),
        ),
    }
}

fn trace(trace: &TraceSummary) -> String {
    // The end of a path tells more than its beginning.
    let name: String = match trace.path.char_indices().rev().nth(35) {
        Some((at, _)) if at > 0 => format!("...{}", &trace.path[at..]),
        _ => trace.path.clone(),
    };
    let weights = trace.model.as_ref().and_then(|model| model.weights.clone());
    let mut parts = vec![name];
    if !trace.teams.is_empty() {
        parts.push(format!("by {}", trace.teams.join(", ")));
    }
    parts.push(counted(trace.records, "record"));
    parts.extend(weights.map(|weights| format!("{weights} weights")));
    parts.join(", ")
}

fn compared(report: &Report) -> String {
    let coverage = &report.coverage;
    let mut text = format!(
        "{} of {}",
        count(coverage.compared),
        counted(coverage.pairs.saturating_sub(coverage.token_pairs), "pair")
    );
    if coverage.compared > 0 && coverage.rests_on.all_elements == coverage.compared {
        text.push_str(" on all elements");
    }
    let missing = coverage.missing_in_candidate.records + coverage.missing_in_reference.records;
    if missing > 0 {
        text = format!("{text}, {} without a partner", counted(missing, "record"));
    }
    format!("{text}; tokens {}", report.tokens.status)
}

fn findings(report: &Report) -> Option<String> {
    let of = |severity: &str| {
        let found = report
            .findings
            .iter()
            .filter(|found| found.severity == severity);
        found.map(|found| found.code.as_str()).collect::<Vec<_>>()
    };
    let parts: Vec<String> = ["error", "warning", "note"]
        .into_iter()
        .filter_map(|severity| {
            let codes = of(severity);
            (!codes.is_empty()).then(|| {
                let number = counted(codes.len() as u64, severity);
                format!("{number} ({})", codes.join(", "))
            })
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
