//! P036.

use crate::explain::formula::rope::Rope;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Another number of lanes.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P036",
        name: "rope turns another number of lanes",
        detects: "Only a leading part of each head is rotated where all of it should be, or the other way round.",
        evidence: "The candidate's rotation recomputed from its own input with each possible number of lanes.",
        confirm: "The lanes past the rotated ones are equal before and after.",
        fix: "Read `rope.dimension_count` (GGUF) or `partial_rotary_factor` (config.json).",
        reports: &["ml-explore/mlx-lm#1698", "ggml-org/llama.cpp#4889"],
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
    let lanes = x.shape[2];
    let each = (2..=lanes).step_by(2).filter(|dims| *dims != rope.dims);
    let fits = each.flat_map(|dims| {
        // The frequencies may follow the number of lanes or stay those of the whole head.
        let own = Rope {
            dims,
            factors: Vec::new(),
            ..rope.clone()
        };
        let kept = Rope {
            theta: rope.theta.powf(dims as f64 / rope.dims as f64),
            ..own.clone()
        };
        [own, kept].map(|other| {
            let claim = format!(
                "rope turns {dims} of {lanes} lanes instead of {}",
                rope.dims
            );
            scene
                .fit(&other.at(&x, &positions), Basis::Inputs, claim)
                .fitted("lanes", dims as f64, None)
        })
    });
    fits.min_by(|a, b| a.residual.total_cmp(&b.residual))
        .into_iter()
        .collect()
}
