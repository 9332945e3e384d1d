//! P018.

use crate::explain::numbers::{Narrow, factor, residual};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;

/// Computed in a narrow type.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P018",
        name: "norm computed in a narrow type",
        detects: "The normed row is rounded to 16 bits before it is multiplied with the weight, or squares are summed in 16 bits, \
                  which loses digits and overflows from 65504 on.",
        evidence: "The candidate's output recomputed with that rounding; for sums, the mean squares that its rows imply, which \
                   all lie on the narrow type's grid.",
        confirm: "Look for a cast inside the norm's kernel.",
        fix: "Compute norms in f32 and round the result once; some models (Llama in Hugging Face) do round before the weight, \
              and then both sides must.",
        reports: &["sgl-project/sglang#27540"],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let mut unit = norm.clone();
    unit.weight.fill(1.0);
    unit.bias.fill(0.0);
    let unit = unit.of(&x);
    let mut fits = Vec::new();
    for narrow in [Narrow::Bf16, Narrow::F16] {
        let lanes = unit
            .data
            .iter()
            .zip(norm.weight.iter().zip(&norm.bias).cycle());
        let made = Dense {
            shape: x.shape.clone(),
            data: lanes
                .map(|(x, (weight, bias))| narrow.round(*x) * weight + bias)
                .collect(),
        };
        let claim = format!(
            "the normed row is rounded to {} before it is multiplied with the weight",
            narrow.name()
        );
        let fit = scene.fit(&made, Basis::Inputs, claim);
        fits.push(fit.tolerance(narrow_tolerance(narrow)));
    }
    fits.extend(sums(scene));
    fits
}

/// A few elements lie so near to the middle of two numbers that they are rounded the other way.
fn narrow_tolerance(narrow: Narrow) -> f64 {
    match narrow {
        Narrow::Bf16 => 1.2e-4,
        _ => 2e-5,
    }
}

/// How near to the grid the mean squares must lie, as a part of its spacing.
const ON_GRID: f64 = 0.02;

/// Each row has a factor of its own, and the mean squares that they come from are 16-bit numbers.
fn sums(scene: &Scene<'_>) -> Option<Fit> {
    let (norm, x) = (scene.norm()?, scene.input(Side::Candidate)?);
    let width = norm.weight.len();
    let expected = norm.of(&x);
    let mut made = scene.candidate.as_ref().clone();
    let (mut rows, mut on_grid) = (0, 0);
    let groups = made.shape[0] * (x.data.len() / width / made.shape[0].max(1));
    for group in 0..groups {
        let range = group * width..(group + 1) * width;
        let own = || scene.candidate.data[range.clone()].iter().copied();
        let theirs = || expected.data[range.clone()].iter().copied();
        let bias: Vec<f64> = norm.bias.clone();
        let pairs = own()
            .zip(theirs())
            .zip(&bias)
            .map(|((a, b), bias)| (a - bias, b - bias));
        let ratio = factor(pairs)?;
        made.data[range.clone()]
            .iter_mut()
            .zip(theirs())
            .zip(&bias)
            .for_each(|((slot, b), bias)| {
                *slot = ratio * (b - bias) + bias;
            });
        if residual(own().zip(made.data[range.clone()].iter().copied())) > 1e-5 || ratio == 0.0 {
            return None;
        }
        let square = x.data[range].iter().map(|x| x * x).sum::<f64>() / width as f64;
        let implied = (square + norm.eps) / (ratio * ratio) - norm.eps;
        let grid = Narrow::F16.round(implied);
        let spacing = grid.abs() * 2_f64.powi(-11);
        rows += 1;
        on_grid += usize::from((implied - grid).abs() < ON_GRID * 4.0 * spacing);
    }
    // By chance one row in six lies as near: a handful of rows is proof.
    if rows < 4 || on_grid * 10 < rows * 9 {
        return None;
    }
    let claim =
        "the norm's squares are summed in f16: the mean square of every row is a 16-bit number";
    let fit = scene.fit(&made, Basis::Inputs, claim).free(1);
    Some(
        fit.evidence("rows whose mean square is an f16 number", on_grid as f64)
            .evidence("rows", rows as f64),
    )
}
