//! P014.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::recompute::formula::inverse_root;

/// Mean subtracted or not.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P014",
        name: "layer norm and RMS norm taken for each other",
        detects: "A layer norm subtracts each row's mean first, a root-mean-square norm does not.",
        evidence: "The candidate's output recomputed from its own input with the other form.",
        confirm: "Divide a row of the candidate's output by the weight: its mean is 0 if the mean was subtracted.",
        fix: "Use the form of the architecture: RMS for Llama, Qwen, Gemma, Mistral; with mean and bias for GPT-2, Phi-2, BERT.",
        reports: &["sonos/tract#2749"],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let eps = norm.eps;
    let made = norm.with(&x, !norm.centred, &|square| inverse_root(square, eps));
    let claim = if norm.centred {
        "the mean is not subtracted: an RMS norm where the model has a layer norm"
    } else {
        "the mean is subtracted: a layer norm where the model has an RMS norm"
    };
    vec![scene.fit(&made, Basis::Inputs, claim)]
}
