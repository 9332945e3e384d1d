//! P023.

use crate::align::Stage;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;

/// Columns by head in another order.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P023",
        name: "heads in another order before the output projection",
        detects: "The output projection's columns belong to heads in another order than the context's: by their place in the group first \
                  and by group second, or the context is concatenated so.",
        evidence: "The product of the matrix with the candidate's own context, heads reordered.",
        confirm: "With as many key heads as query heads nothing is wrong.",
        fix: "Query head = key head · group + place in the group, on both sides of the projection.",
        reports: &["nntile/nntile#347"],
    },
    kinds: &[Kind::Linear],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    if scene.site.stage() != Some(Stage::AttnOut) {
        return Vec::new();
    }
    let (Some(linear), Some(keys)) = (scene.linear(), scene.stage(Side::Reference, Stage::K))
    else {
        return Vec::new();
    };
    let [tokens, heads, lanes] = linear.x.shape[..] else {
        return Vec::new();
    };
    let groups = keys.shape.get(1).copied().unwrap_or(1);
    if groups < 2 || groups >= heads || !heads.is_multiple_of(groups) {
        return Vec::new();
    }
    let each = heads / groups;
    let mut fits = Vec::new();
    for (by_place, claim) in [
        (
            true,
            "the output projection's columns are ordered by place in the group, then by group",
        ),
        (
            false,
            "the context's heads are ordered by place in the group, then by group",
        ),
    ] {
        let mut x = Dense::zeros(linear.x.shape.clone());
        for token in 0..tokens {
            for head in 0..heads {
                let other = if by_place {
                    head % each * groups + head / each
                } else {
                    head % groups * each + head / groups
                };
                let from = &linear.x.data[(token * heads + head) * lanes..][..lanes];
                x.data[(token * heads + other) * lanes..][..lanes].copy_from_slice(from);
            }
        }
        if let Some(made) = linear.of(&x) {
            fits.push(scene.fit(&linear.with_bias(&made, 1.0), Basis::Inputs, claim));
        }
    }
    fits
}
