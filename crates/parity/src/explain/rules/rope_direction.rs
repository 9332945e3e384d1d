//! P032.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Turned the other way, not at all, or twice.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P032",
        name: "rope turns the wrong way",
        detects: "Pairs turn by −angle: the sine has the wrong sign, or its place in the formula. Turned both, queries and keys, \
                  scores are those of swapped positions.",
        evidence: "The candidate's rotation recomputed from its own input with the angle reversed.",
        confirm: "(1, 0) at position 1 becomes (cos 1, sin 1), with a plus.",
        fix: "(a, b) becomes (a cos − b sin, a sin + b cos).",
        reports: &[],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(rope), Some(x)) = (scene.rope(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let positions: Vec<f64> = scene.positions().map(|at| -(at as f64)).collect();
    vec![scene.fit(
        &rope.at(&x, &positions),
        Basis::Inputs,
        "rope turns the other way: the sine has the wrong sign",
    )]
}
