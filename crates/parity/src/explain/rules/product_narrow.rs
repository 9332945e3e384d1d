//! P027.

use crate::explain::formula::linear::Linear;
use crate::explain::numbers::{Narrow, residual};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Products in a narrow type.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P027",
        name: "product with rounded weights, inputs or sums",
        detects: "Weights or activations are rounded to a narrower type before they are multiplied: bf16 or f16 copies of f32 weights, tensor cores \
                  in TF32. Or the sums are kept in f16 (`CUBLAS_COMPUTE_16F`). That is precision, not a wrong formula, but it is where both sides begin to part.",
        evidence: "The product of the candidate's own input with the file's matrix, either of them rounded, or with every sum rounded on its way.",
        confirm: "Switch TF32 off (`torch.backends.cuda.matmul.allow_tf32 = False`, `CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION`), or load f32.",
        fix: "Use the same types on both sides for a comparison.",
        reports: &["turboderp-org/exllamav2#554", "sgl-project/sglang#27540"],
    },
    kinds: &[Kind::Linear],
    costly: true,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(linear) = scene.linear() else {
        return Vec::new();
    };
    let mut fits = Vec::new();
    for narrow in [Narrow::Bf16, Narrow::F16, Narrow::Tf32] {
        let name = narrow.name();
        let made = linear.with_weights(&|row, column| narrow.round(linear.matrix.at(row, column)));
        fits.push(scene.fit(
            &made,
            Basis::Inputs,
            format!(
                "`{}` is rounded to {name} before the product",
                linear.matrix.name
            ),
        ));
        let x = linear.x.map(|x| narrow.round(x));
        if let Some(made) = linear.of(&x) {
            let claim = format!(
                "what `{}` is multiplied with is rounded to {name}",
                linear.matrix.name
            );
            fits.push(scene.fit(&linear.with_bias(&made, 1.0), Basis::Inputs, claim));
        }
        let both = linear.through(&x, &linear.product.shape, &|row, column| {
            narrow.round(linear.matrix.at(row, column))
        });
        fits.push(scene.fit(
            &linear.with_bias(&both, 1.0),
            Basis::Inputs,
            format!("weights and inputs of the product are rounded to {name}"),
        ));
    }
    // Where the weights are that narrow already, rounding inputs and rounding both are the same: the first says it.
    fits.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    fits.dedup_by(|later, first| later.residual == first.residual);
    fits.truncate(3);
    fits.extend(f16_sums(scene, linear));
    fits
}

/// How many products are added at once before the sum is rounded: one by one, and as tensor cores do.
const STEPS: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// What a sum that was rounded the other way on its way may leave: few are, and by one digit of f16 each.
const OTHERWISE: f64 = 2e-4;

/// Sums kept in f16, in order.
fn f16_sums(scene: &Scene<'_>, linear: &Linear<'_>) -> Option<Fit> {
    let f16 = |x: f64| Narrow::F16.round(x);
    let bias = |output: usize| linear.bias.as_ref().map_or(0.0, |bias| bias[output]);
    let width = scene.candidate.row_len();
    let row = *scene.affected().first()?;
    // Without its bias each result is a number of the type, but for what adding the bias rounded.
    let is_narrow = |(output, found): (usize, &f64)| {
        let sum = found - bias(output);
        (f16(sum) - sum).abs() <= 1e-6 * found.abs().max(bias(output).abs())
    };
    let found = scene.candidate.row(row);
    if !found.iter().enumerate().all(is_narrow) {
        return None;
    }
    let columns = linear.matrix.columns();
    let made_of = |row: usize, step: usize, weights: bool| -> Vec<f64> {
        let x: Vec<f64> = linear.x.data[row * columns..][..columns]
            .iter()
            .map(|x| f16(*x))
            .collect();
        let weight = |output: usize, column: usize| {
            let weight = linear.matrix.at(output, column);
            if weights { f16(weight) } else { weight }
        };
        let sum = |output: usize| {
            x.chunks(step).enumerate().fold(0.0, |sum, (chunk, x)| {
                let part: f64 = (x.iter().enumerate())
                    .map(|(at, x)| x * weight(output, chunk * step + at))
                    .sum();
                f16(sum + part)
            })
        };
        (0..width)
            .map(|output| sum(output) + bias(output))
            .collect()
    };
    let ways = STEPS
        .iter()
        .flat_map(|step| [(*step, true), (*step, false)]);
    let (left, step, weights) = ways
        .map(|(step, weights)| {
            let made = made_of(row, step, weights);
            let left = residual(found.iter().copied().zip(made));
            (left, step, weights)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    if left > OTHERWISE {
        return None;
    }
    let rows = 0..scene.candidate.n_rows();
    let data = rows.flat_map(|row| made_of(row, step, weights)).collect();
    let made = Dense::new(scene.candidate.shape.clone(), data)?;
    let claim = format!(
        "the sums of the product are kept in f16, {step} products being added to them at a time"
    );
    let fit = scene.fit(&made, Basis::Inputs, claim);
    Some(
        fit.fitted("step", step as f64, Some(step.to_string()))
            .tolerance(OTHERWISE),
    )
}
