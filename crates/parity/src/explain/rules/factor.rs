//! P003.

use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// One factor.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P003",
        name: "one factor",
        detects: "The tensor is the right one times one number: a multiplier that the model has and the engine not, or the other way round \
                  (logit scale, an adapter's scale, a quantisation scale).",
        evidence: "The factor fitted over all elements of the rows that differ, and what it looks like.",
        confirm: "Divide both tensors element by element: one number everywhere.",
        fix: "Apply the multiplier of the model's configuration, once.",
        reports: &[
            "OpenNMT/CTranslate2#1882",
            "hao-ai-lab/FastVideo#870",
            "vllm-project/vllm#55670",
        ],
    },
    kinds: &[
        Kind::Norm,
        Kind::Linear,
        Kind::Activation,
        Kind::Residual,
        Kind::Other,
    ],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (basis, right) = match scene.expected() {
        Some(expected) => (Basis::Inputs, expected),
        None => (Basis::Reference, scene.reference.clone()),
    };
    let Some(found) = factor(scene.pairs(&right)) else {
        return Vec::new();
    };
    if found == 0.0 || (found - 1.0).abs() < 1e-6 || scene.is_one_normed_row() {
        return Vec::new();
    }
    let made = right.map(|x| x * found);
    let claim = format!("the tensor is {} times the right one", short(found));
    vec![scene.fit(&made, basis, claim).fitted(
        "factor",
        found,
        looks_like(found, &familiar(scene)),
    )]
}

fn familiar(scene: &Scene<'_>) -> Vec<(f64, String)> {
    let width = scene.candidate.last_len() as f64;
    let mut known: Vec<(f64, String)> = [2.0, 4.0, 8.0, 16.0, 32.0]
        .iter()
        .flat_map(|n: &f64| [(*n, format!("{n}")), (1.0 / n, format!("1/{n}"))])
        .collect();
    known.push((-1.0, "the wrong sign".to_owned()));
    known.push((width.sqrt(), format!("√{width}")));
    known.push((1.0 / width.sqrt(), format!("1/√{width}")));
    known
}
