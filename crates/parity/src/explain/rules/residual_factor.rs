//! P081.

use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// A factor of the branch.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P081",
        name: "factor of a residual branch",
        detects: "What a branch adds to the stream is multiplied with a factor that the model does not have, or without the one that it \
                  has: a residual multiplier (Granite, MiniCPM), an adapter's alpha over rank.",
        evidence: "The factor fitted to the candidate's stream against its own branch.",
        confirm: "(stream after − stream before) / branch is one number for all elements.",
        fix: "Apply `residual_multiplier` or `lora_alpha / r` where the model has it, once.",
        reports: &[
            "OpenNMT/CTranslate2#1882",
            "hao-ai-lab/FastVideo#870",
            "NousResearch/torchtitan#36",
        ],
    },
    kinds: &[Kind::Residual],
    costly: false,
    test,
};

const FAMILIAR: [(f64, &str); 8] = [
    (0.22, "0.22, Granite's residual multiplier"),
    (2.0, "2"),
    (0.5, "1/2"),
    (4.0, "4"),
    (0.25, "1/4"),
    (0.125, "1/8"),
    (16.0, "16"),
    (0.0625, "1/16"),
];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some([stream, added]) = scene.addends(Side::Candidate) else {
        return Vec::new();
    };
    // Least squares of (candidate − stream) on the branch, in the rows that differ.
    let rest: Vec<(f64, f64)> = scene
        .pairs(&stream)
        .map(|(found, stream)| found - stream)
        .zip(scene.pairs(&added).map(|(_, added)| added))
        .collect();
    let Some(times) = factor(rest.into_iter()) else {
        return Vec::new();
    };
    let Some(made) = stream.zip(&added, |stream, added| stream + times * added) else {
        return Vec::new();
    };
    let claim = format!(
        "what is added to the stream is multiplied with {}",
        short(times)
    );
    vec![scene.fit(&made, Basis::Inputs, claim).fitted(
        "factor",
        times,
        looks_like(times, &FAMILIAR),
    )]
}
