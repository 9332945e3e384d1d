//! P039.

use crate::explain::numbers::short;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Other positions.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P039",
        name: "rope uses other positions",
        detects: "Tokens are rotated as if they stood elsewhere: counted from another origin, from 0 in every pass, all rows of a \
                  pass at the position of its first, or every decode pass at that of the first one (a graph that was captured with it). A constant offset of queries and keys alike changes no score and is benign.",
        evidence: "The candidate's rotation recomputed from its own input at the other positions; an offset is fitted.",
        confirm: "Print the positions that the engine passes to its rotation for the first decode step.",
        fix: "A token's position is how many tokens of its sequence came before it, in every pass.",
        reports: &["NVIDIA-NeMo/Automodel#2377", "unslothai/unsloth#4100"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

/// Offsets that are tried.
const OFFSETS: std::ops::RangeInclusive<i64> = -8..=8;

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(rope), Some(x)) = (scene.rope(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let first = scene.tokens.start;
    let at = |place: &dyn Fn(i64) -> i64| {
        let places: Vec<f64> = scene.positions().map(|at| place(at) as f64).collect();
        rope.at(&x, &places)
    };
    let mut fits = Vec::new();
    let offsets = OFFSETS
        .filter(|offset| *offset != 0)
        .flat_map(|offset| [(offset, false), (offset, true)]);
    let offset = offsets
        .map(|(offset, clamped)| {
            let lowest = if clamped { 0 } else { i64::MIN };
            let made = at(&|at| (at + offset).max(lowest));
            (scene.residual(&made), offset, made)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, offset, made)) = offset {
        let constant = scene.affected().len() == scene.candidate.shape[0];
        let benign = constant && scene.scores_agree();
        let claim = format!(
            "rope counts positions from another origin: every token stands {} later",
            short(offset as f64)
        );
        fits.push(
            scene
                .fit(&made, Basis::Inputs, claim)
                .fitted("offset", offset as f64, None)
                .benign(benign),
        );
    }
    // In a pass where one of these changes nothing it explains nothing, but may be confirmed by it.
    let claim = "rope counts positions from 0 in every pass: it uses the row's number";
    fits.push(scene.fit(&at(&|at| at - first), Basis::Inputs, claim));
    let claim = "rope gives every row of the pass the position of its first";
    fits.push(scene.fit(&at(&|_| first), Basis::Inputs, claim));
    if let Some(captured) = scene.captured() {
        let claim = format!(
            "every pass is rotated by position {captured}, that of the first one after the prompt, as where a captured graph keeps it"
        );
        fits.push(scene.fit(&at(&|_| captured), Basis::Inputs, claim));
    }
    fits
}
