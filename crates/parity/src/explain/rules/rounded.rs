//! P005.

use crate::explain::numbers::Narrow;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Kept in a narrow type.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P005",
        name: "result kept in a narrow type",
        detects: "The right result is rounded to fewer digits when it is stored: f16 (infinite from 65520 on), bf16, 8 bits. Precision, not a \
                  wrong formula, until it overflows.",
        evidence: "The candidate's numbers are all of the narrow type, and are the right ones rounded.",
        confirm: "Look for the storage type of this buffer.",
        fix: "Keep the stream and the logits in f32, or use the same types on both sides for a comparison.",
        reports: &[
            "huggingface/transformers#5651",
            "ROCm/hip-ep#168",
            "huggingface/transformers#29402",
        ],
    },
    kinds: Kind::ALL,
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (basis, right) = match scene.expected() {
        Some(expected) => (Basis::Inputs, expected),
        None => (Basis::Reference, scene.reference.clone()),
    };

    let scores = scene.kind() == Kind::Scores;
    let fits: Vec<Fit> = Narrow::ALL
        .into_iter()
        // Scores that were summed or kept in f16 are a rule of their own, and every f16 is a number of TF32's, too.
        .filter(|narrow| !scores || !matches!(narrow, Narrow::F16 | Narrow::Tf32))
        .filter(|narrow| {
            let numbers = || scene.pairs(&right).map(|(found, _)| found);
            numbers().all(|x| narrow.round(x) == x || !x.is_finite()) && numbers().any(|x| x != 0.0)
        })
        .map(|narrow| {
            let made = scene
                .candidate
                .zip(&right, |found, right| narrow.snapped(right, found));
            let claim = format!("the result is rounded to {}", narrow.name());
            scene.fit(&made.unwrap_or_default(), basis, claim)
        })
        .collect();
    let best = fits
        .iter()
        .map(|fit| fit.residual)
        .fold(f64::INFINITY, f64::min);
    // Numbers of a type are numbers of the wider ones too, which leave as little: the narrowest that does says most.
    let as_good = |fit: &Fit| fit.residual <= 10.0 * best.max(1e-7);
    fits.into_iter().rfind(as_good).into_iter().collect()
}
