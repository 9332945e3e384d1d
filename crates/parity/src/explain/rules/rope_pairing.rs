//! P030.

use crate::explain::formula::rope::Rope;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// The other pairing.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P030",
        name: "rope pairs the wrong lanes",
        detects: "Lanes 2i and 2i + 1 turn together where the weights expect i and i + d/2, or the other way round. Position 0 \
                  stays right, norms of heads too; text begins well and falls into repetition.",
        evidence: "The candidate's rotation recomputed from its own queries or keys with the other pairing.",
        confirm: "Rotate one head by hand at position 1 both ways.",
        fix: "Hugging Face's weights of all Llama-like models expect halves; GGUFs of the `llama` architecture have Q and K \
              rows reordered for adjacent lanes; most other GGUFs have not.",
        reports: &[
            "NeuraLegion/shainet#111",
            "paiml/aprender#2084",
            "karpathy/llama2.c#286",
            "nurl-lang/nurl#584",
        ],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(rope), Some(x)) = (scene.rope(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let other = Rope {
        half_split: !rope.half_split,
        ..rope.clone()
    };
    let name = |half_split| {
        if half_split {
            "i and i + d/2"
        } else {
            "2i and 2i + 1"
        }
    };
    let claim = format!(
        "rope turns lanes {} together instead of {}",
        name(other.half_split),
        name(rope.half_split)
    );
    let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
    vec![scene.fit(&other.at(&x, &positions), Basis::Inputs, claim)]
}
