//! P027.

use crate::explain::numbers::Narrow;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Products in a narrow type.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P027",
        name: "product with rounded weights or inputs",
        detects: "Weights or activations are rounded to a narrower type before they are multiplied: bf16 or f16 copies of f32 weights, tensor cores \
                  in TF32. That is precision, not a wrong formula, but it is where both sides begin to part.",
        evidence: "The product of the candidate's own input with the file's matrix, either of them rounded.",
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
    fits
}
