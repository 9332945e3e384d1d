//! What was compared with what, and what it was judged by.

use super::alignment::undone;
use super::logits;
use super::page::Page;
use crate::report::v1::{Limit, Report, TraceSummary};
use crate::report::words::{count, counted, number};

/// Both traces, coverage, tokens, limit.
pub(super) fn what_was_compared(page: &mut Page, report: &Report) {
    page.heading("What was compared");
    page.fill("  reference  ", &trace(&report.reference));
    page.fill("  candidate  ", &trace(&report.candidate));
    page.fill("  model      ", &model(report));
    page.fill("  tokens     ", &tokens(report));
    undone(page, report);
    page.fill("  pairs      ", &pairs(report));
    if report.coverage.compared > 0 {
        page.fill("  limit      ", &limit(report));
    }
    if let Some(text) = judged(report) {
        page.fill("  judged     ", &text);
    }
    if let Some(text) = logits::long(report) {
        page.fill("  logits     ", &text);
    }
}

fn trace(trace: &TraceSummary) -> String {
    let mut parts = vec![trace.path.clone()];
    if !trace.teams.is_empty() {
        parts.push(format!("by {}", trace.teams.join(", ")));
    }
    parts.push(counted(trace.records, "record"));
    match trace.positions {
        Some([first, last]) if first == last => parts.push(format!("position {first}")),
        Some([first, last]) => parts.push(format!("positions {first} to {last}")),
        None => {}
    }
    parts.join(", ")
}

fn model(report: &Report) -> String {
    let describe = |trace: &TraceSummary| {
        let model = trace.model.as_ref()?;
        let mut parts: Vec<String> = Vec::new();
        parts.extend(model.file.clone());
        parts.extend(model.architecture.clone());
        parts.extend(model.layers.map(|layers| format!("{layers} layers")));
        parts.extend(
            model
                .weights
                .as_ref()
                .map(|weights| format!("{weights} weights")),
        );
        Some(parts.join(", "))
    };
    match (describe(&report.reference), describe(&report.candidate)) {
        (Some(a), Some(b)) => {
            let sha =
                |trace: &TraceSummary| trace.model.as_ref().and_then(|model| model.sha256.clone());
            let same_file = sha(&report.reference).is_some()
                && sha(&report.reference) == sha(&report.candidate);
            match (same_file, a == b) {
                (true, _) => format!("{a}; the same file on both sides"),
                (false, true) => a,
                (false, false) => format!("{a} against {b}"),
            }
        }
        (Some(a), None) => format!("{a}; the candidate's is unknown"),
        (None, Some(b)) => format!("{b}; the reference's is unknown"),
        (None, None) => "unknown on both sides".to_owned(),
    }
}

fn tokens(report: &Report) -> String {
    let tokens = &report.tokens;
    match (tokens.status.as_str(), tokens.differences.first()) {
        ("same", _) => format!(
            "the same at all {} known on both sides",
            counted(tokens.equal_positions, "position")
        ),
        (_, Some(difference)) => format!(
            "different from position {} on: {} in the reference, {} in the candidate",
            difference.token_idx, difference.reference, difference.candidate
        ),
        _ => "not known to be the same".to_owned(),
    }
}

fn pairs(report: &Report) -> String {
    let coverage = &report.coverage;
    let mut text = format!("{} compared", count(coverage.compared));
    let measurable = coverage.pairs - coverage.token_pairs;
    if measurable > coverage.compared {
        text = format!("{text} of {}", count(measurable));
    }
    let rests_on = &coverage.rests_on;
    let by_evidence = [
        (rests_on.all_elements, "on all elements"),
        (rests_on.sketches, "by sketches of the whole tensors"),
        (rests_on.first_elements, "on their first elements only"),
        (rests_on.statistics, "by statistics"),
    ];
    let used: Vec<String> = by_evidence
        .iter()
        .filter(|(pairs, _)| *pairs > 0)
        .map(|(pairs, how)| {
            if *pairs == coverage.compared {
                (*how).to_owned()
            } else {
                format!("{} {how}", count(*pairs))
            }
        })
        .collect();
    if !used.is_empty() {
        text = format!("{text}, {}", used.join(", "));
    }
    if coverage.identical > 0 && coverage.identical < coverage.compared {
        text = format!("{text}; {} bit-identical", count(coverage.identical));
    }
    if coverage.past_inputs > 0 {
        text = format!(
            "{text}; {} past the point where the tokens part",
            count(coverage.past_inputs)
        );
    }
    let missing = coverage.missing_in_candidate.records + coverage.missing_in_reference.records;
    if missing > 0 {
        text = format!("{text}; {} without a partner", counted(missing, "record"));
    }
    text
}

fn limit(report: &Report) -> String {
    let limit = &report.limit;
    let assumed = if limit.assumed {
        "; assumed, since a run file does not name the weights"
    } else {
        ""
    };
    let range = match (limit.max_nmse, extremes(limit)) {
        (Some(nmse), _) => format!("NMSE {}, ", number(nmse.0)),
        (None, Some((least, most))) => {
            format!(
                "relative error {} to {}, by operation; ",
                number(least),
                number(most)
            )
        }
        (None, None) => String::new(),
    };
    format!("{range}{}{assumed}", limit.reason)
}

/// How many pairs were held against what, and what of that was not done.
fn judged(report: &Report) -> Option<String> {
    let floors = report.floors.iter().map(|floor| {
        let how = match floor.floor.as_str() {
            "recomputed" => "computed anew from the candidate's own inputs",
            "recomputed reference" => "computed anew from the reference's inputs",
            "tolerance" => "by the tolerance file",
            "calibrated" => "by what their inputs and measured noise explain",
            "model" => "by what their inputs and rounding explain",
            _ => "by what the whole model may gather",
        };
        format!("{} {how}", counted(floor.pairs, "pair"))
    });
    let mut parts: Vec<String> = floors.collect();
    if parts.is_empty() {
        return None;
    }
    let judged = &report.judged;
    if judged.products_in_part > 0 {
        parts.push(format!(
            "{} with a matrix {} computed anew in the last {} rows only, {} by the model of errors",
            counted(judged.products_in_part, "product"),
            if judged.products_in_part == 1 {
                "was"
            } else {
                "were"
            },
            judged.product_rows,
            counted(judged.rows_not_recomputed, "other row")
        ));
    }
    if judged.pairs_not_recomputed > 0 {
        parts.push(format!(
            "{} not computed anew, for the work that it takes",
            counted(judged.pairs_not_recomputed, "pair")
        ));
    }
    Some(parts.join("; "))
}

/// The smallest and the largest relative error that is still noise.
fn extremes(limit: &Limit) -> Option<(f64, f64)> {
    let errors = limit.by_operation.iter().map(|row| row.max_relative_rmse.0);
    let least = errors.clone().reduce(f64::min)?;
    Some((least, errors.reduce(f64::max)?))
}
