//! P033.

use crate::align::Stage;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Not rotated, or twice.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P033",
        name: "not rotated, or rotated twice",
        detects: "Queries or keys go on without a rotation (forgotten, or taken for a layer without positions), or what is rotated \
                  already is rotated again (once in the projection's kernel, once after it; or in the cache).",
        evidence: "The candidate's output against its own input turned 0 and 2 times.",
        confirm: "Without a rotation output and input are equal bit for bit.",
        fix: "Rotate queries and keys once each, in every layer that the model's configuration does not except.",
        reports: &["timtoole02/Camelid#535", "huggingface/transformers#43756"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(rope), Some(x)) = (scene.rope(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let what = if scene.site.stage() == Some(Stage::KRope) {
        "keys are"
    } else {
        "queries are"
    };
    let doubled: Vec<f64> = scene.positions().map(|at| 2.0 * at as f64).collect();
    vec![
        scene.fit(&x, Basis::Inputs, format!("{what} not rotated")),
        scene.fit(
            &rope.at(&x, &doubled),
            Basis::Inputs,
            format!("{what} rotated twice"),
        ),
    ]
}
