//! What was not compared, and what was wrong or doubtful.

use super::page::{Page, style};
use crate::check::Findings;
use crate::report::v1::{Finding, Report, Unpaired};
use crate::report::words::{count, counted, positions};
use crate::tensor::format_shape;
use std::collections::BTreeSet;

/// Lines of a list without `-v`.
const FEW: usize = 5;

/// Missing partners, unequal shapes, unusable pairs.
pub(super) fn left_out(page: &mut Page, report: &Report, verbose: bool) {
    let coverage = &report.coverage;
    missing(page, "candidate", &coverage.missing_in_candidate, verbose);
    missing(page, "reference", &coverage.missing_in_reference, verbose);
    if coverage.shape_mismatches > 0 {
        page.heading(&format!(
            "Not compared: {} of different shape",
            counted(coverage.shape_mismatches, "pair")
        ));
        let lines = coverage.shape_mismatch_list.iter().map(|pair| {
            format!(
                "{}, {}: {} in the reference, {} in the candidate",
                pair.checkpoint,
                positions(pair.token_idx, 1),
                format_shape(&pair.reference),
                format_shape(&pair.candidate)
            )
        });
        list(page, lines, coverage.shape_mismatches, verbose);
    }
    if coverage.unusable > 0 {
        page.heading(&format!(
            "Not compared: {} without usable numbers",
            counted(coverage.unusable, "pair")
        ));
        let lines = coverage.unusable_list.iter().map(|pair| {
            format!(
                "{}, {}: {}",
                pair.checkpoint,
                positions(pair.token_idx, 1),
                pair.reason
            )
        });
        list(page, lines, coverage.unusable, verbose);
    }
}

fn missing(page: &mut Page, side: &str, unpaired: &Unpaired, verbose: bool) {
    if unpaired.records == 0 {
        return;
    }
    page.heading(&format!(
        "Missing in the {side}: {}",
        counted(unpaired.records, "record")
    ));
    let groups = unpaired.groups.iter().map(|group| match group.names {
        1 => format!("{}: {}", group.pattern, counted(group.records, "record")),
        names => format!(
            "{}: {} in {} layers",
            group.pattern,
            counted(group.records, "record"),
            count(names)
        ),
    });
    list(page, groups, unpaired.groups.len() as u64, verbose);
    if verbose {
        list(page, unpaired.list.iter().cloned(), unpaired.records, true);
    }
}

/// The first lines of a list of `total`, and how many more there are.
fn list(page: &mut Page, lines: impl ExactSizeIterator<Item = String>, total: u64, verbose: bool) {
    let shown = if verbose {
        lines.len()
    } else {
        lines.len().min(FEW)
    };
    for line in lines.take(shown) {
        page.fill("  - ", &line);
    }
    let more = total.saturating_sub(shown as u64);
    if more > 0 {
        let hint = if verbose { "" } else { " (-v lists more)" };
        page.line(style::FAINT, &format!("  and {} more{hint}", count(more)));
    }
}

/// Errors, warnings and notes.
pub(super) fn findings(page: &mut Page, report: &Report, verbose: bool) {
    if report.findings.is_empty() {
        return;
    }
    page.heading("Findings");
    let mut helped = BTreeSet::new();
    for finding in &report.findings {
        let color = match finding.severity.as_str() {
            "error" => style::BAD,
            "warning" => style::DOUBTFUL,
            _ => style::FAINT,
        };
        page.put(color, &format!("  {} {}", finding.severity, finding.code));
        page.line(
            style::PLAIN,
            &format!(" {}{}", finding.name.replace('-', " "), of_side(finding)),
        );
        // The first example of an error is the short answer already.
        let said = usize::from(finding.severity == "error").min(finding.examples.len());
        let few = if verbose { Findings::EXAMPLES } else { 2 };
        let shown = finding.examples.len().min(few).max(said);
        for example in &finding.examples[said..shown] {
            page.fill("    ", example);
        }
        let more = finding.count.saturating_sub(shown as u64);
        if more > 0 {
            page.line(style::FAINT, &format!("    and {} more", count(more)));
        }
        if let Some(help) = &finding.help
            && helped.insert(help)
        {
            page.fill("    help: ", help);
        }
    }
}

fn of_side(finding: &Finding) -> String {
    let times = if finding.count > 1 {
        format!(", {} times", count(finding.count))
    } else {
        String::new()
    };
    match finding.side.as_str() {
        "both" => times,
        side => format!(", {side}{times}"),
    }
}
