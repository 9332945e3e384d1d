//! P025.

use crate::explain::numbers::short;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Never loaded.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P025",
        name: "weights not loaded",
        detects: "The output has nothing to do with the right one although the input agrees: the matrix still holds its random initial values, \
                  because the loader did not find it and did not complain.",
        evidence: "No correlation with the reference, a plausible magnitude, and none of the model's matrices, in any layout, makes these \
                   numbers. That is likelihood, not proof: the loader's report is.",
        confirm: "Compare a checksum of the matrix in the engine's memory with the file's; run twice with another random seed.",
        fix: "Make the loader fail on missing names.",
        reports: &["Blaizzy/mlx-audio#902", "huggingface/transformers#43429"],
    },
    kinds: &[Kind::Linear],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(linear) = scene.linear() else {
        return Vec::new();
    };
    // A bias that was loaded is in both and has nothing to do with the matrix.
    let bias = linear.with_bias(&linear.product.map(|_| 0.0), 1.0);
    let pairs: Vec<(f64, f64)> = scene
        .pairs(&linear.product)
        .zip(scene.pairs(&bias))
        .map(|((found, product), (_, bias))| (found - bias, product))
        .collect();
    let sum = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>();
    let (cross, own, right) = (
        sum(&|(a, b)| a * b),
        sum(&|(a, _)| a * a),
        sum(&|(_, b)| b * b),
    );
    let cosine = cross / (own * right).sqrt();
    // Chance makes a cosine of about 1/√n.
    let by_chance = 4.0 / (scene.candidate.row_len() as f64).sqrt();
    let x = linear.x.data.iter().map(|x| x * x).sum::<f64>() / linear.x.n_rows() as f64;
    let rows = scene.affected().len().max(1) as f64;
    let per_weight = (own / rows / linear.matrix.rows.len() as f64 / x).sqrt();
    if !cosine.is_finite()
        || cosine.abs() > by_chance.min(0.3)
        || pairs.len() < 64
        || scene.affected().is_empty()
    {
        return Vec::new();
    }
    let width = linear.matrix.columns() as f64;
    let claim = format!(
        "`{}` was probably not loaded: the output is unrelated to the right one, as weights of a standard deviation of {} would make it",
        linear.matrix.name,
        short(per_weight)
    );
    let mut fit = scene
        .fit(&scene.candidate, Basis::Inputs, claim)
        .only_likely()
        .free(pairs.len());
    fit = fit
        .evidence("cosine with the right output", cosine)
        .evidence("standard deviation of the weights", per_weight);
    vec![fit.evidence(
        "that of a uniform initialisation within ±1/√n",
        1.0 / (3.0 * width).sqrt(),
    )]
}
