//! P072.

use crate::explain::numbers::Narrow;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// A formula that overflows.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P072",
        name: "activation overflows or is computed in a narrow type",
        detects: "The non-linearity is computed by a formula that divides infinity by infinity for large arguments (x·eˣ/(1 + eˣ), \
                  (e²ˣ − 1)/(e²ˣ + 1)), or in 16 bits.",
        evidence: "The candidate's activation recomputed from its own inputs in that arithmetic, NaNs included.",
        confirm: "NaN exactly where the gate exceeds about 11 (f16) or 88 (f32).",
        fix: "x / (1 + e⁻ˣ), in f32.",
        reports: &["intel/llm-scaler#484"],
    },
    kinds: &[Kind::Activation],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(activation) = scene.activation() else {
        return Vec::new();
    };
    let mut fits = Vec::new();
    for narrow in [Narrow::F16, Narrow::Bf16] {
        let round = |x: f64| narrow.round(x);
        let name = narrow.name();
        let power = activation.with(&|x| {
            let power = round(round(x).exp());
            x * round(power / round(power + 1.0))
        });
        let claim = format!("the activation is computed as x·eˣ/(1 + eˣ) in {name}");
        let tolerance = if narrow == Narrow::F16 { 2e-4 } else { 1e-3 };
        fits.push(scene.fit(&power, Basis::Inputs, claim).tolerance(tolerance));
        let function = activation.function;
        let rounded = activation.with(&|x| round(function.of(round(x))));
        let claim = format!("the activation is computed in {name}");
        fits.push(
            scene
                .fit(&rounded, Basis::Inputs, claim)
                .tolerance(tolerance / 4.0),
        );
    }
    fits
}
