//! P051.

use crate::explain::numbers::{looks_like, minimum, residual, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::recompute::formula::capped;
use crate::tensor::Dense;

/// Soft-capped or not.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P051",
        name: "soft cap missing, added or different",
        detects: "Scores or logits go through cap · tanh(x / cap) where the model has no cap, not where it has one, or with another \
                  cap. Small values stay nearly right, large ones are squeezed; the largest stays the largest.",
        evidence: "The cap fitted to the candidate's values against its own uncapped ones, or the other way round.",
        confirm: "No value exceeds the cap where it is applied.",
        fix: "Gemma 2 caps scores at 50 and logits at 30; most models cap nothing. Fused kernels have an argument for it.",
        reports: &["sgl-project/sglang#33915", "sgl-project/sglang#1046"],
    },
    kinds: &[Kind::Scores, Kind::Probs, Kind::Context, Kind::Linear],
    costly: false,
    test,
};

const FAMILIAR: [(f64, &str); 4] = [(50.0, "50"), (30.0, "30"), (20.0, "20"), (15.0, "15")];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let logits = scene.checkpoint == "logits";
    if scene.kind() == Kind::Linear && !logits {
        return Vec::new();
    }
    let (basis, base) = match scene.expected() {
        Some(expected) => (Basis::Inputs, expected),
        None => (Basis::Reference, scene.reference.clone()),
    };
    let capped = |cap: f64| -> Option<Dense> {
        match scene.kind() {
            Kind::Scores | Kind::Linear => Some(base.map(|x| capped(x, Some(cap)))),
            kind => {
                let mut changed = scene.attention()?.clone();
                changed
                    .has_products(kind)
                    .then(|| changed.softcap = Some(cap))?;
                changed.predict(kind)
            }
        }
    };
    let what = if logits { "logits" } else { "scores" };
    let mut fits = Vec::new();
    let mut cost =
        |log: f64| capped(log.exp2()).map_or(f64::INFINITY, |made| residual(scene.pairs(&made)));
    let fitted = minimum(-3.0, 12.0, 121, &mut cost).exp2();
    let cap = FAMILIAR
        .iter()
        .map(|(cap, _)| *cap)
        .find(|cap| (fitted / cap - 1.0).abs() < 2e-3)
        .unwrap_or(fitted);
    if let Some(made) = capped(cap) {
        let claim = format!(
            "{what} are capped softly at {}, which the model does not do",
            short(cap)
        );
        fits.push(
            scene
                .fit(&made, basis, claim)
                .fitted("cap", cap, looks_like(cap, &FAMILIAR)),
        );
    }
    // The reference caps and the candidate does not.
    if matches!(scene.kind(), Kind::Scores | Kind::Linear) {
        let uncapped = |cap: f64| {
            scene
                .reference
                .map(|x| cap * (x / cap).clamp(-1.0, 1.0).atanh())
        };
        let largest = scene
            .reference
            .data
            .iter()
            .fold(0.0_f64, |top, x| top.max(x.abs()));
        for (cap, _) in FAMILIAR.into_iter().filter(|(cap, _)| *cap > largest) {
            let claim = format!(
                "{what} are not capped, where the reference caps them softly at {}",
                short(cap)
            );
            fits.push(
                scene
                    .fit(&uncapped(cap), Basis::Reference, claim)
                    .named("cap", cap, None),
            );
        }
    }
    fits
}
