//! P071.

use crate::explain::formula::activation::apply;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Gate and up exchanged.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P071",
        name: "activation applied to the wrong half",
        detects: "The non-linearity is applied to the up projection and the result multiplied with the gate.",
        evidence: "The candidate's activation recomputed from its own gate and up projection the other way round.",
        confirm: "Gate and up projection themselves agree with the reference.",
        fix: "act(gate) · up. Stacked matrices have the gate first in most checkpoints, not in all.",
        reports: &["ml-explore/mlx-lm#767"],
    },
    kinds: &[Kind::Activation],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(activation) = scene.activation() else {
        return Vec::new();
    };
    let Some(up) = &activation.up else {
        return Vec::new();
    };
    let made = apply(&|x| activation.function.of(x), up, Some(&activation.gate));
    vec![scene.fit(
        &made,
        Basis::Inputs,
        "the non-linearity is applied to the up projection instead of the gate",
    )]
}
