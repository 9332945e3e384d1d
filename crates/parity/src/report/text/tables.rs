//! Headline, bands, worst offenders, all checkpoints, last line.

use super::page::{Page, style};
use crate::report::v1::{Basis, PairDetail, Report};
use crate::report::words::{count, number, sentence};

/// The verdict and why.
pub(super) fn headline(page: &mut Page, report: &Report) {
    title(page, report);
    for reason in &report.reasons {
        page.fill("  ", &sentence(reason));
    }
}

/// The verdict and where.
pub(super) fn title(page: &mut Page, report: &Report) {
    page.put(
        style::of_verdict(&report.verdict).bold(),
        &report.verdict.to_uppercase(),
    );
    let place = report
        .first_divergence
        .as_ref()
        .filter(|_| report.verdict == "diverged");
    if let Some(divergence) = place {
        page.put(
            style::BOLD,
            &format!(
                "  first at {}",
                page.cell(&divergence.checkpoint, 50).trim_end()
            ),
        );
    }
    page.end_line();
    page.end_line();
}

/// How many pairs lie in each band.
pub(super) fn bands(page: &mut Page, report: &Report) {
    if report.coverage.compared == 0 {
        return;
    }
    page.heading("Pairs by largest absolute difference");
    let bands = &report.bands;
    let columns = [
        ("exact <1e-5", bands.exact, style::GOOD),
        ("close <1e-3", bands.close, style::GOOD),
        ("acceptable <0.1", bands.acceptable, style::PLAIN),
        ("warning <1", bands.warning, style::DOUBTFUL),
        ("fail", bands.fail, style::BAD),
        ("unknown", bands.unknown, style::FAINT),
    ];
    let shown = columns
        .iter()
        .filter(|(name, pairs, _)| *name != "unknown" || *pairs > 0);
    for (name, _, _) in shown.clone() {
        page.put(style::PLAIN, "  ");
        page.put(style::FAINT, &format!("{name:>13}"));
    }
    page.end_line();
    for (name, pairs, color) in shown {
        let width = name.len().max(13) + 2;
        let color = if *pairs == 0 { style::FAINT } else { *color };
        page.put(color, &format!("{:>width$}", count(*pairs)));
    }
    page.end_line();
}

/// The pairs with the largest errors.
pub(super) fn worst(page: &mut Page, report: &Report) {
    if report.worst.is_empty() {
        return;
    }
    page.heading("Largest errors");
    page.line(
        style::FAINT,
        "  checkpoint                 position  rel. error   max abs     cosine  rests on",
    );
    for pair in &report.worst {
        let color = if pair.above_limit {
            style::BAD
        } else {
            style::PLAIN
        };
        let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        page.put(
            style::PLAIN,
            &format!("  {}", page.cell(&pair.checkpoint, 25)),
        );
        page.put(style::PLAIN, &format!("{:>10}", place(pair)));
        page.put(color, &format!("{:>12}", number(pair.relative_rmse.0)));
        page.put(
            style::PLAIN,
            &format!("{:>10}", optional(pair.max_abs_diff.map(|x| x.0))),
        );
        page.put(
            style::PLAIN,
            &format!(
                "{:>11}",
                pair.cosine.map_or_else(|| "-".to_owned(), |x| cosine(x.0))
            ),
        );
        page.line(
            style::FAINT,
            &format!("  {}", short_basis(&pair.nmse_basis)),
        );
    }
}

fn place(pair: &PairDetail) -> String {
    match i64::try_from(pair.n_tokens) {
        Ok(tokens) if tokens > 1 => format!(
            "{}-{}",
            pair.token_idx,
            pair.token_idx.saturating_add(tokens - 1)
        ),
        _ => pair.token_idx.to_string(),
    }
}

/// Cosine similarity with six digits; what rounds to one but is not says so.
pub(super) fn cosine(cosine: f64) -> String {
    if cosine < 1.0 && cosine > 1.0 - 5e-7 {
        ">0.999999".to_owned()
    } else {
        format!("{cosine:.6}")
    }
}

fn short_basis(basis: &Basis) -> String {
    match basis {
        Basis::Exact { .. } => "all".to_owned(),
        Basis::First { elements, .. } => format!("first {elements}"),
        Basis::Sketch { .. } => "sketch".to_owned(),
        Basis::AtLeast { .. } => "stats".to_owned(),
    }
}

/// Every checkpoint name.
pub(super) fn checkpoints(page: &mut Page, report: &Report) {
    if report.checkpoints.is_empty() {
        return;
    }
    page.heading("All checkpoints");
    page.line(
        style::FAINT,
        "  checkpoint                      pairs  identical  above   rel. error   max abs",
    );
    for row in &report.checkpoints {
        let color = if row.above_limit > 0 {
            style::BAD
        } else {
            style::PLAIN
        };
        page.put(
            style::PLAIN,
            &format!("  {}", page.cell(&row.checkpoint, 28)),
        );
        page.put(
            style::PLAIN,
            &format!(
                "{:>9}{:>11}{:>7}",
                count(row.pairs),
                count(row.identical),
                count(row.above_limit)
            ),
        );
        page.put(color, &format!("{:>13}", number(row.worst_relative_rmse.0)));
        let max_abs = row
            .max_abs_diff
            .map_or_else(|| "-".to_owned(), |x| number(x.0));
        page.line(style::PLAIN, &format!("{max_abs:>10}"));
    }
}

/// The verdict once more, for those who look at the end.
pub(super) fn last_line(page: &mut Page, report: &Report) {
    page.end_line();
    page.put(style::PLAIN, "verdict: ");
    page.put(style::of_verdict(&report.verdict).bold(), &report.verdict);
    page.line(style::FAINT, &format!(" (exit code {})", report.exit_code));
}
