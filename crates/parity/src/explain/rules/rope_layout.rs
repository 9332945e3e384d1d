//! P031.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Lanes left in another order.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P031",
        name: "rotated lanes left in another order",
        detects: "The rotation is right, but its lanes stand in the order of the other pairing: even and odd ones one after the \
                  other instead of woven, or woven instead of apart. Position 0 is wrong too, which tells it from wrong pairs. \
                  Where queries and keys are reordered alike, scores stay right and nothing else changes.",
        evidence: "The candidate against its own rotated queries or keys with the lanes reordered.",
        confirm: "Compare one head lane by lane at position 0, where nothing turns.",
        fix: "Write each rotated pair back to the lanes that it came from.",
        reports: &["vllm-project/vllm-metal#44"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(rope), Some(x)) = (scene.rope(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
    let right = rope.at(&x, &positions);
    let lanes = x.shape[2];
    let half = rope.dims / 2;
    [false, true]
        .map(|woven| {
            let mut made = right.clone();
            for (out, head) in made.data.chunks_mut(lanes).zip(right.data.chunks(lanes)) {
                for (lane, slot) in out.iter_mut().enumerate().take(rope.dims) {
                    let from = if woven { lane / 2 + lane % 2 * half } else { lane % half * 2 + lane / half };
                    *slot = head[from];
                }
            }
            let claim = if woven {
                "rotated lanes are woven (0, d/2, 1, d/2 + 1, …) where they should stand as they came"
            } else {
                "rotated lanes stand apart (even ones first, then odd ones) where they should be woven back"
            };
            scene.fit(&made, Basis::Inputs, claim).benign(scene.scores_agree())
        })
        .into()
}
