//! P013.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// No weight or no bias.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P013",
        name: "weight or bias of a norm missing",
        detects: "The row is normed but not multiplied with the norm's weight, or the bias of a layer norm is not added.",
        evidence: "The candidate's output recomputed from its own input without the weight, without the bias, without both.",
        confirm: "The mean square of every row is 1 where the weight is missing.",
        fix: "Load the tensor and apply it; a loader that ignores unknown names hides this.",
        reports: &["ml-explore/mlx#1636"],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let with = |weight: bool, bias: bool, claim: &str| {
        let mut norm = norm.clone();
        if !weight {
            norm.weight.fill(1.0);
        }
        if !bias {
            norm.bias.fill(0.0);
        }
        scene.fit(&norm.of(&x), Basis::Inputs, claim)
    };
    let mut fits = vec![with(
        false,
        true,
        "the norm is not multiplied with its weight",
    )];
    if norm.bias.iter().any(|bias| *bias != 0.0) {
        fits.push(with(true, false, "the bias of the norm is not added"));
        fits.push(with(false, false, "the norm has neither weight nor bias"));
    }
    fits
}
