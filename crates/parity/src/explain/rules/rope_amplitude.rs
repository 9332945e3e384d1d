//! P037.

use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Cosine and sine multiplied.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P037",
        name: "rope makes vectors longer",
        detects: "Cosine and sine are multiplied with a factor: YaRN's attention factor where the model has none, or another one \
                  than the model's. Position 0 is wrong too, and scores by the factor's square.",
        evidence: "The factor fitted to the candidate against its own rotated input.",
        confirm: "Heads have the same length before and after a right rotation.",
        fix: "Take the factor from the configuration: 0.1 ln(s) + 1 for YaRN, 1 for all others.",
        reports: &["kekzl/imp#880", "ml-explore/mlx-lm#1507"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(expected) = scene.expected() else {
        return Vec::new();
    };
    let Some(found) = factor(scene.pairs(&expected)) else {
        return Vec::new();
    };
    let yarn: Vec<(f64, String)> = [2.0, 4.0, 8.0, 16.0, 32.0, 40.0, 64.0]
        .iter()
        .map(|s: &f64| (0.1 * s.ln() + 1.0, format!("YaRN's 0.1 ln {s} + 1")))
        .collect();
    let mut made = expected.as_ref().clone();
    made.data.iter_mut().for_each(|x| *x *= found);
    let claim = format!(
        "rotated vectors are {} times as long as they should be",
        short(found)
    );
    vec![
        scene
            .fit(&made, Basis::Inputs, claim)
            .fitted("factor", found, looks_like(found, &yarn)),
    ]
}
