//! P016.

use crate::explain::formula::norm::Norm;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// The weight of another norm.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P016",
        name: "the weight of another norm",
        detects: "The norm multiplies with the weight that belongs to another norm of the model: of the same block, or of \
                  another one.",
        evidence: "The candidate's output recomputed from its own input with the other norm's weight, from the model file or \
                   as the reference's trace shows it.",
        confirm: "Print the first weights of both norms as the engine has them.",
        fix: "Load each norm under its own name.",
        reports: &["ml-explore/mlx#1636"],
    },
    kinds: &[Kind::Norm],
    costly: true,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let names = scene.side(Side::Reference).names();
    let others = names
        .iter()
        .filter(|name| name.ends_with("_norm") && **name != scene.checkpoint);
    let mut fits: Vec<Fit> = others
        .filter_map(|name| {
            let other = Scene::new(scene.known, name, scene.tokens.clone())?;
            let theirs = other
                .norm()
                .filter(|theirs| theirs.weight.len() == norm.weight.len())?;
            Some([&theirs.bias, &norm.bias].map(|bias| {
                let swapped = Norm {
                    weight: theirs.weight.clone(),
                    bias: bias.clone(),
                    ..norm.clone()
                };
                let claim = format!("the norm multiplies with the weight of `{name}`");
                scene.fit(&swapped.of(&x), Basis::Inputs, claim).free(1)
            }))
        })
        .flatten()
        .collect();
    // One fit for each norm of the model is too much to show: the best two tell enough.
    fits.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    fits.truncate(2);
    fits
}
