//! P040.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Turned by head.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P040",
        name: "rope turns along the wrong axis",
        detects: "The rotation runs along the heads instead of the tokens: head h turns by h positions, whatever the token.",
        evidence: "The candidate's rotation recomputed from its own input with the head's number as position.",
        confirm: "Head 0 is not rotated at all.",
        fix: "Check the axis order that the rotation expects: [tokens, heads, lanes] or [heads, tokens, lanes].",
        reports: &["facebookresearch/xformers#841"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(rope), Some(x)) = (scene.rope(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let made = rope.turned(&x, &|_, head, pair| {
        rope.angles(head as f64)[pair].sin_cos()
    });
    vec![scene.fit(
        &made,
        Basis::Inputs,
        "rope turns by the number of the head instead of the position of the token",
    )]
}
