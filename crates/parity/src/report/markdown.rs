//! The report for a pull request: short, the rest folded away.

use super::many::rows;
use super::render::{Render, RenderMany};
use super::v1::{CheckpointSummary, Many, Report, TraceSummary};
use super::words::{count, counted, is_harmless, number, sentence};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Markdown as GitHub, GitLab and Gitea render it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markdown;

/// Rows of the table of the worst checkpoints.
const ROWS: usize = 10;

impl Render for Markdown {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(page(report).as_bytes())
    }
}

impl RenderMany for Markdown {
    /// A table with a line for each candidate, and its page folded away.
    fn render_many(&self, many: &Many, out: &mut dyn Write) -> io::Result<()> {
        let mut page = heading(many.exit_code, &many.verdict);
        page.push_str(
            "| candidate | verdict | compared | missing | largest relative RMSE | first divergence |\n",
        );
        page.push_str("|---|---|---:|---:|---:|---|\n");
        let rows = rows(many);
        for row in &rows {
            let first = row.first.map_or("–".to_owned(), |(checkpoint, position)| {
                format!("{} at position {position}", code(checkpoint))
            });
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {first} |",
                code(row.candidate),
                row.verdict,
                row.compared,
                row.missing,
                row.largest.as_deref().unwrap_or("–"),
            );
        }
        for (row, report) in rows.iter().zip(&many.reports) {
            let _ = writeln!(
                page,
                "\n<details><summary>{}: {}</summary>\n",
                markup(row.candidate),
                row.verdict
            );
            page.push_str(&self::page(report));
            page.push_str("\n</details>\n");
        }
        out.write_all(page.as_bytes())
    }
}

fn heading(exit_code: u8, verdict: &str) -> String {
    let mark = match exit_code {
        0 => "✅",
        1 => "❌",
        _ => "⚠️",
    };
    format!("### {mark} Numeric parity: {verdict}\n\n")
}

fn page(report: &Report) -> String {
    let mut page = heading(report.exit_code, &report.verdict);
    for reason in report.reasons.iter().take(6) {
        let _ = writeln!(page, "{}  ", prose(&sentence(reason)));
    }
    for cause in report.causes.iter().take(3) {
        let _ = writeln!(
            page,
            "\n**{} cause**, {}: {}  \nto make sure: {}  \nto change: {}",
            prose(&cause.certainty),
            code(&cause.code),
            prose(&cause.claim),
            prose(&cause.confirm),
            prose(&cause.fix)
        );
    }
    worst(&mut page, report);
    findings(&mut page, report);
    coverage(&mut page, report);
    runs(&mut page, report);
    page
}

fn worst(page: &mut String, report: &Report) {
    let mut rows: Vec<&CheckpointSummary> = report
        .checkpoints
        .iter()
        .filter(|row| row.worst_nmse.0 != 0.0)
        .collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by(|a, b| b.worst_nmse.0.total_cmp(&a.worst_nmse.0));
    let _ = writeln!(
        page,
        "\n<details{}><summary>Largest errors ({} of {})</summary>\n",
        if report.exit_code == 1 { " open" } else { "" },
        rows.len().min(ROWS),
        counted(report.checkpoints.len() as u64, "checkpoint")
    );
    page.push_str("| checkpoint | position | relative RMSE | limit | largest difference | |\n");
    page.push_str("|---|---:|---:|---:|---:|---|\n");
    for row in rows.into_iter().take(ROWS) {
        let limit = row
            .max_nmse
            .map_or("–".to_owned(), |limit| number(limit.0.sqrt()));
        let largest = row
            .max_abs_diff
            .map_or("–".to_owned(), |largest| number(largest.0));
        let above = if row.above_limit > 0 { "above" } else { "" };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {limit} | {largest} | {above} |",
            code(&row.checkpoint),
            row.worst_token_idx,
            number(row.worst_relative_rmse.0),
        );
    }
    page.push_str("\n</details>\n");
}

fn findings(page: &mut String, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    let _ = writeln!(
        page,
        "\n<details><summary>{}</summary>\n",
        counted(report.findings.len() as u64, "finding")
    );
    for finding in &report.findings {
        let example = finding.examples.first().map_or("", String::as_str);
        let _ = writeln!(
            page,
            "- **{} {}** ({}): {}",
            finding.severity,
            finding.code,
            finding.side,
            prose(example)
        );
    }
    page.push_str("\n</details>\n");
}

fn coverage(page: &mut String, report: &Report) {
    let coverage = &report.coverage;
    let measurable = coverage.pairs.saturating_sub(coverage.token_pairs);
    let _ = writeln!(
        page,
        "\n<details><summary>{} of {} compared</summary>\n",
        count(coverage.compared),
        counted(measurable, "pair")
    );
    let lines = [
        (coverage.identical, "bit-identical"),
        (coverage.above_limit, "above the limit"),
        (coverage.rests_on.all_elements, "on all elements"),
        (
            coverage.rests_on.sketches,
            "by sketches of the whole tensors",
        ),
        (
            coverage.rests_on.first_elements,
            "on their first elements only",
        ),
        (coverage.rests_on.statistics, "by statistics"),
        (coverage.past_inputs, "past the point where the tokens part"),
        (coverage.shape_mismatches, "of different shape"),
        (coverage.unusable, "without usable numbers"),
    ];
    for (pairs, what) in lines.into_iter().filter(|(pairs, _)| *pairs > 0) {
        let _ = writeln!(page, "- {} {what}", counted(pairs, "pair"));
    }
    for (side, unpaired) in [
        ("candidate", &coverage.missing_in_candidate),
        ("reference", &coverage.missing_in_reference),
    ] {
        if unpaired.records > 0 {
            let names: Vec<String> = unpaired
                .groups
                .iter()
                .take(5)
                .map(|group| code(&group.pattern))
                .collect();
            let _ = writeln!(
                page,
                "- {} missing in the {side}: {}",
                counted(unpaired.records, "record"),
                names.join(", ")
            );
        }
    }
    let _ = writeln!(page, "- limit: {}", prose(&report.limit.reason));
    page.push_str("\n</details>\n");
}

fn runs(page: &mut String, report: &Report) {
    page.push_str("\n<details><summary>The two runs</summary>\n\n| | reference | candidate |\n|---|---|---|\n");
    let pair = [&report.reference, &report.candidate];
    let mut row = |name: &str, value: &dyn Fn(&TraceSummary) -> Option<String>| {
        let [a, b] = pair.map(|trace| value(trace).unwrap_or_else(|| "–".to_owned()));
        if (a.as_str(), b.as_str()) != ("–", "–") {
            let _ = writeln!(page, "| {name} | {a} | {b} |");
        }
    };
    row("trace", &|trace| Some(code(&trace.path)));
    row("team", &|trace| Some(code(&trace.teams.join(", "))));
    row("records", &|trace| Some(count(trace.records)));
    row("model", &|trace| {
        trace.model.as_ref()?.file.as_deref().map(code)
    });
    row("weights", &|trace| {
        trace.model.as_ref()?.weights.as_deref().map(code)
    });
    for setting in ["device", "threads"] {
        row(setting, &|trace| {
            let found = trace.run.iter().find(|(name, _)| name == setting);
            found.map(|(_, value)| code(value))
        });
    }
    let _ = writeln!(page, "\n</details>\n\nparity {}", report.parity_version);
}

/// The longest name that is shown whole.
const MAX_NAME: usize = 80;

/// What can be seen of a text, cut to a length that can be read.
fn visible(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .take(most)
        .flat_map(|c| {
            if is_harmless(c) {
                vec![c]
            } else {
                c.escape_default().collect()
            }
        })
        .collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

/// A name as code that can end neither its quotes nor the cell of a table.
fn code(name: &str) -> String {
    let name = visible(name, MAX_NAME)
        .replace('`', "'")
        .replace('|', "\\|");
    if name.trim().is_empty() {
        "–".to_owned()
    } else {
        format!("`{name}`")
    }
}

/// Text for a line that is HTML, where Markdown's own escapes would be seen.
fn markup(text: &str) -> String {
    visible(text, MAX_NAME)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "&#64;")
}

/// A sentence in which nothing is markup.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for c in visible(text, 600).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A mention would notify a stranger.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names() {
        assert_eq!(code("a`b|c\nd"), "`a'b\\|c\\nd`");
        assert_eq!(code(&"x".repeat(10_000)).chars().count(), MAX_NAME + 3);
        assert_eq!(markup("a_<b>&\n@c"), "a_&lt;b&gt;&amp;\\n&#64;c");
        assert_eq!(
            prose("<img> @me [x](y) layer_0"),
            "&lt;img&gt; &#64;me \\[x\\](y) layer\\_0"
        );
    }
}
