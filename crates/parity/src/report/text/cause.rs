//! Why: the causes, and everything that was tried.

use super::page::{Page, style};
use crate::report::v1::{Cause, Explanation};
use crate::report::words::number;

/// The causes of the first divergence.
pub(super) fn causes(page: &mut Page, causes: &[Cause]) {
    let Some(first) = causes.first() else {
        return;
    };
    let title = match first.certainty.as_str() {
        "proven" if first.benign => "Cause, which changes nothing downstream",
        "proven" => "Cause",
        "likely" => "Likely cause",
        _ => "One of these causes",
    };
    page.heading(title);
    for cause in causes {
        one(page, cause);
    }
    if first.certainty == "ambiguous" {
        let text = "they explain the numbers equally well; log all tensors that the operation reads, or give \
                    `parity explain` the model file";
        page.fill("  to settle  ", text);
    }
    page.fill("  confirm    ", &first.confirm);
    page.fill("  fix        ", &first.fix);
    page.fill(
        "  more       ",
        &format!("parity explain {} for the rule", first.code),
    );
}

fn one(page: &mut Page, cause: &Cause) {
    page.fill(&format!("  {:<10} ", cause.code), &cause.claim);
    let basis = match cause.basis.as_str() {
        "inputs" => "recomputed from the candidate's own inputs so",
        _ => "made from the reference's tensors so",
    };
    let text = format!(
        "{basis}, `{}` is right to {}; without it {} is unexplained",
        cause.checkpoint,
        number(cause.residual.0),
        number(cause.without.0)
    );
    page.fill("  proof      ", &text);
    for parameter in &cause.parameters {
        let look = parameter
            .looks_like
            .as_ref()
            .map_or(String::new(), |look| format!(", which is {look}"));
        let text = format!("{} {}{look}", parameter.name, number(parameter.value.0));
        page.fill("  fitted     ", &text);
    }
    for evidence in &cause.evidence {
        let text = format!("{}: {}", evidence.name, number(evidence.value.0));
        page.fill("  evidence   ", &text);
    }
}

/// Everything that was tried at one checkpoint.
pub(super) fn explanation(page: &mut Page, found: &Explanation, all: bool) {
    page.line(
        style::BOLD,
        &format!("{} ({})", found.checkpoint, found.operation),
    );
    page.fill("  answer     ", &found.summary);
    if found.outcome == "not captured" {
        return;
    }
    let rows = format!(
        "{} of {} rows at positions {} to {} differ, by {} of the candidate's magnitude",
        found.affected.len(),
        found.positions[1] - found.positions[0] + 1,
        found.positions[0],
        found.positions[1],
        number(found.divergence.0)
    );
    page.fill("  differs    ", &rows);
    let inputs = format!("what goes in agrees to {}", number(found.inputs.0));
    page.fill("  inputs     ", &inputs);
    if let (Some(candidate), Some(reference)) =
        (found.from_own_inputs, found.reference_from_its_inputs)
    {
        let text = format!(
            "by the model's formula the reference follows from its own inputs to {}, the candidate from its own to {}",
            number(reference.0),
            number(candidate.0)
        );
        page.fill("  formula    ", &text);
    }
    causes(page, &found.causes);
    if found.tried.is_empty() {
        return;
    }
    page.heading("Tried, with what each hypothesis leaves unexplained");
    let shown = if all { found.tried.len() } else { 20 };
    for tried in found.tried.iter().take(shown) {
        let mark = if tried.explains { "*" } else { " " };
        let lead = format!("{mark} {} {:>8} ", tried.code, number(tried.residual.0));
        page.fill(&lead, &tried.claim);
    }
    if found.tried.len() > shown {
        let text = format!(
            "… and {} more; --verbose shows all",
            found.tried.len() - shown
        );
        page.fill("  ", &text);
    }
}
