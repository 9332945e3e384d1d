//! P033.

use crate::align::Stage;
use crate::explain::formula::rope::{Rope, USUAL_BASES};
use crate::explain::numbers::short;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Not rotated, or twice.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P033",
        name: "not rotated, or rotated twice",
        detects: "Queries or keys go on without a rotation (forgotten, or taken for a layer without positions), are rotated in a layer without positions, or what is rotated \
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
    if rope.is_none() {
        return turned_nevertheless(scene, rope, what).into_iter().collect();
    }
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

/// A rotation where the reference has none.
fn turned_nevertheless(scene: &Scene<'_>, rope: &Rope, what: &str) -> Option<Fit> {
    let x = scene.input(Side::Candidate)?;
    let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
    let ways = USUAL_BASES
        .into_iter()
        .flat_map(|theta| [(theta, true), (theta, false)]);
    let fits = ways.map(|(theta, half_split)| {
        let turning = Rope {
            theta,
            half_split,
            factors: Vec::new(),
            ..rope.clone()
        };
        let claim = format!(
            "{what} rotated (base {}), where the reference leaves them as they are",
            short(theta)
        );
        scene
            .fit(&turning.at(&x, &positions), Basis::Inputs, claim)
            .fitted("base", theta, Some(short(theta)))
    });
    fits.min_by(|a, b| a.residual.total_cmp(&b.residual))
}
