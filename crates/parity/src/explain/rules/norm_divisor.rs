//! P011.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Another divisor.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P011",
        name: "another divisor in a norm",
        detects: "The norm divides by something else than the root of the mean square plus epsilon: epsilon outside the \
                  root, the reciprocal (so that it multiplies), the root of the sum instead of the mean, a variance \
                  over n − 1, the mean square without its root.",
        evidence: "The candidate's output recomputed from its own input with that divisor; nothing is fitted.",
        confirm: "Feed one row by hand: for (3, 4), weight 1 and epsilon 0 the norm is (3, 4)/√12.5.",
        fix: "x · weight / √(mean(x²) + eps), with mean(x − mean)² over n for a layer norm.",
        reports: &["EleutherAI/gpt-neox#1342", "mosaicml/llm-foundry#372"],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let (eps, n) = (norm.eps, norm.weight.len() as f64);
    type Scale<'s> = &'s dyn Fn(f64) -> f64;
    let forms: [(Scale<'_>, &str); 5] = [
        (
            &|s| 1.0 / (s.sqrt() + eps),
            "the norm adds epsilon to the root instead of under it",
        ),
        (
            &|s| (s + eps).sqrt(),
            "the norm multiplies with the root of the mean square instead of dividing by it",
        ),
        (
            &|s| 1.0 / (s * n + eps).sqrt(),
            "the norm divides by the root of the sum of squares instead of their mean",
        ),
        (
            &|s| 1.0 / (s * n / (n - 1.0) + eps).sqrt(),
            "the norm divides the sum of squares by n − 1 instead of n",
        ),
        (
            &|s| 1.0 / (s + eps),
            "the norm divides by the mean square without taking its root",
        ),
    ];
    forms
        .iter()
        .map(|(scale, claim)| {
            scene.fit(&norm.with(&x, norm.centred, *scale), Basis::Inputs, *claim)
        })
        .collect()
}
