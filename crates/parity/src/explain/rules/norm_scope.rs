//! P017.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;

/// One mean square over all heads.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P017",
        name: "norm over all heads instead of each",
        detects: "Queries or keys are normed with one mean square over all heads of a token where the model takes one for \
                  each head, or the other way round.",
        evidence: "The candidate's output recomputed from its own input with the other scope.",
        confirm: "The ratio of candidate and reference is the same within a head and differs between heads.",
        fix: "Norm the axis that the weight's width says: head_dim means each head by itself.",
        reports: &["vllm-project/vllm#16311"],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let width = x.data.len() / x.shape[0];
    if width == norm.weight.len() {
        return Vec::new();
    }
    let mut data = Vec::with_capacity(x.data.len());
    for row in x.data.chunks(width) {
        let square = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
        let scale = (square + norm.eps).sqrt().recip();
        let lanes = row.iter().zip(norm.weight.iter().cycle());
        data.extend(lanes.map(|(x, weight)| x * scale * weight));
    }
    let made = Dense {
        shape: x.shape.clone(),
        data,
    };
    vec![scene.fit(
        &made,
        Basis::Inputs,
        "one mean square is taken over all heads of a token instead of one for each head",
    )]
}
