//! Everything about one pair: figures, ranges, first values side by side, worst elements.

use super::page::{Page, style};
use super::tables::cosine;
use crate::report::v1::{Basis, PairDetail, ValueRange};
use crate::report::words::{count, counted, number, positions, step, value};
use crate::tensor::{coordinates, format_shape};

/// The pair under a heading.
pub(super) fn pair(page: &mut Page, title: &str, pair: &PairDetail) {
    page.heading(&format!(
        "{title}: {}",
        page.cell(&pair.checkpoint, 50).trim_end()
    ));
    page.fill("  where      ", &place(pair));
    page.fill("  error      ", &error(pair));
    if let Some(figures) = &pair.figures {
        let text = format!(
            "max abs {}, mean abs {}, max rel {}, RMSE {}; {}",
            number(figures.max_abs_diff.0),
            number(figures.mean_abs_diff.0),
            number(figures.max_rel_diff.0),
            number(figures.rmse.0),
            long_basis(&pair.basis)
        );
        page.fill("  difference ", &text);
    }
    if pair.mismatched_non_finite > 0 {
        let text = format!(
            "{} NaN or infinite on one side only",
            counted(pair.mismatched_non_finite, "element")
        );
        page.fill("  non-finite ", &text);
    }
    if let (Some(a), Some(b)) = (&pair.reference_range, &pair.candidate_range) {
        let range =
            |range: &ValueRange| format!("{} to {}", value(range.min.0), value(range.max.0));
        page.fill(
            "  values     ",
            &format!("reference {}, candidate {}", range(a), range(b)),
        );
    }
    values(page, pair);
    worst(page, pair);
}

fn place(pair: &PairDetail) -> String {
    let mut text = positions(pair.token_idx, pair.n_tokens);
    if let Some(pass) = pair.step {
        text = format!("{text} ({})", step(pass));
    }
    for (name, number) in [("sequence", pair.seq), ("occurrence", pair.occurrence)] {
        if number > 0 {
            text = format!("{text}, {name} {number}");
        }
    }
    text = format!("{text}, shape {}, ", format_shape(&pair.shape));
    text.push_str(&pair.reference_dtype);
    if pair.reference_dtype != pair.candidate_dtype {
        text = format!("{text} against {}", pair.candidate_dtype);
    }
    match &pair.op {
        Some(op) => format!("{text}, operation {op}"),
        None => text,
    }
}

fn error(pair: &PairDetail) -> String {
    let mut text = format!(
        "relative {}, NMSE {}",
        number(pair.relative_rmse.0),
        number(pair.nmse.0)
    );
    if pair.sqnr_db.0.is_finite() {
        text = format!("{text}, SQNR {:.1} dB", pair.sqnr_db.0);
    }
    if let Some(similarity) = pair.cosine {
        text = format!("{text}, cosine {}", cosine(similarity.0));
    }
    format!("{text}; {}", long_basis(&pair.nmse_basis))
}

fn long_basis(basis: &Basis) -> String {
    match basis {
        Basis::Exact { elements } => format!("over all {}", counted(*elements, "element")),
        Basis::First { elements, of } => format!(
            "over the first {} of {} elements",
            count(*elements),
            count(*of)
        ),
        Basis::Sketch { plus_minus, of } => format!(
            "estimated for all {} from the sketches, NMSE within {:.0} %",
            counted(*of, "element"),
            plus_minus.0 * 100.0
        ),
        Basis::AtLeast { of } => format!(
            "at least, by the statistics of all {}",
            counted(*of, "element")
        ),
    }
}

fn values(page: &mut Page, pair: &PairDetail) {
    let rows = pair.reference_values.len().min(pair.candidate_values.len());
    if rows == 0 {
        return;
    }
    row(page, "first values", "reference", "candidate", "difference");
    for index in 0..rows {
        let (a, b) = (
            pair.reference_values[index].0,
            pair.candidate_values[index].0,
        );
        element(page, &coordinates(index as u64, &pair.shape), a, b);
    }
}

fn worst(page: &mut Page, pair: &PairDetail) {
    if pair.worst_elements.is_empty() {
        return;
    }
    row(
        page,
        "largest differences",
        "reference",
        "candidate",
        "difference",
    );
    for worst in &pair.worst_elements {
        element(page, &worst.at, worst.reference.0, worst.candidate.0);
    }
}

fn row(page: &mut Page, title: &str, a: &str, b: &str, difference: &str) {
    page.line(
        style::FAINT,
        &format!("  {title:<22}{a:>15}{b:>15}{difference:>15}"),
    );
}

fn element(page: &mut Page, at: &[u64], a: f64, b: f64) {
    let at: Vec<String> = at.iter().map(u64::to_string).collect();
    let place = format!("    [{}]", at.join(","));
    page.put(
        style::PLAIN,
        &format!("{place:<24}{:>15}{:>15}", value(a), value(b)),
    );
    let same = a == b || a.is_nan() && b.is_nan();
    let color = if same { style::FAINT } else { style::PLAIN };
    page.line(
        color,
        &format!("{:>15}", if same { "0".to_owned() } else { number(b - a) }),
    );
}
