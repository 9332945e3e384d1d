//! P012.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Weight plus or minus one.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P012",
        name: "one too much or too little in a norm's weight",
        detects: "Some checkpoints (Gemma) hold a norm's weight less one, and the engine is to add it; others hold the whole \
                  weight. Adding it where it is there already, twice, or not at all shifts every lane by its normed value.",
        evidence: "The candidate's output recomputed from its own input with weight + 1 or weight − 1.",
        confirm: "Print the first weights as the engine uses them: around 1 they are whole, around 0 they lack the one.",
        fix: "Add the one in exactly one place: converters to GGUF have done it already.",
        reports: &[
            "pytorch/executorch#19901",
            "kekzl/imp#1289",
            "kekzl/imp#459",
        ],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let with = |offset: f64, claim: &str| {
        let mut norm = norm.clone();
        norm.weight.iter_mut().for_each(|weight| *weight += offset);
        scene
            .fit(&norm.of(&x), Basis::Inputs, claim)
            .named("added to the weight", offset, None)
    };
    vec![
        with(
            1.0,
            "the norm multiplies with 1 + weight where the weight is whole",
        ),
        with(
            -1.0,
            "the norm multiplies with weight − 1: the one that belongs to this checkpoint's weights is missing",
        ),
    ]
}
