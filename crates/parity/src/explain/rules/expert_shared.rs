//! P104.

use crate::explain::formula::experts::Shared;
use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Another share of the shared expert.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P104",
        name: "shared expert missing, not gated or added several times",
        detects: "The expert that all tokens share is not added, added without its gate's sigmoid, added once by every rank, or its gate \
                  multiplies the routed experts too.",
        evidence: "The candidate's sum recomputed from its own experts, weights and gate; the factor of the shared expert is fitted.",
        confirm: "(sum − routed experts) / shared expert is the gate's sigmoid in every row.",
        fix: "routed + sigmoid(gate) · shared, reduced once over ranks.",
        reports: &[
            "NousResearch/torchtitan#36",
            "ikawrakow/ik_llama.cpp#1368",
            "vllm-project/vllm#49366",
        ],
    },
    kinds: &[Kind::ExpertSum],
    costly: false,
    test,
};

const FAMILIAR: [(f64, &str); 5] = [
    (2.0, "2"),
    (4.0, "4"),
    (8.0, "8"),
    (0.5, "1/2"),
    (0.25, "1/4"),
];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    found(scene).unwrap_or_default()
}

fn found(scene: &Scene<'_>) -> Option<Vec<Fit>> {
    let mixture = scene.mixture()?;
    mixture.shared.as_ref()?;
    let mut fits = Vec::new();
    for (form, claim) in [
        (Shared::Absent, "the shared expert is not added"),
        (
            Shared::Whole,
            "the shared expert is added without its gate's sigmoid",
        ),
        (
            Shared::Gated,
            "the shared expert is multiplied with its gate's sigmoid, which the reference does not do",
        ),
    ] {
        if form != mixture.form
            && let Some(made) = mixture.with(&mixture.weights, form)
        {
            fits.push(scene.fit(&made, Basis::Inputs, claim));
        }
    }
    if let Some(both) = mixture.with(&mixture.weights, Shared::Whole)
        && let Some(made) = mixture.gated(&both)
    {
        let claim = "the shared expert's gate multiplies the routed experts, too";
        fits.push(scene.fit(&made, Basis::Inputs, claim));
    }
    let routed = mixture.routed(&mixture.weights)?;
    let added = mixture.added(mixture.form)?;
    let rest: Vec<f64> = scene
        .pairs(&routed)
        .map(|(sum, routed)| sum - routed)
        .collect();
    let parts: Vec<f64> = scene.pairs(&added).map(|(_, added)| added).collect();
    if let Some(times) = factor(rest.into_iter().zip(parts))
        && times != 0.0
        && let Some(made) = routed.zip(&added, |routed, added| routed + times * added)
    {
        let look = looks_like(times, &FAMILIAR);
        let claim = format!("the shared expert is added {} times", short(times));
        let fit = scene.fit(&made, Basis::Inputs, claim);
        fits.push(fit.fitted("times", times, look));
    }
    Some(fits)
}
