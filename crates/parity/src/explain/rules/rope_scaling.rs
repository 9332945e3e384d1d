//! P035.

use crate::explain::formula::rope::Rope;
use crate::explain::numbers::{looks_like, minimum, residual, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use std::f64::consts::TAU;

/// Frequencies scaled, or not.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P035",
        name: "rope frequencies scaled differently",
        detects: "All frequencies are divided by a factor (linear scaling), only the slow ones (Llama 3's scheme), or neither where \
                  the model wants one of both.",
        evidence: "The factor fitted to the candidate's own rotation; for Llama 3's scheme its published constants.",
        confirm: "Print the frequency of the first and the last pair: linear scaling changes both, Llama 3's the last only.",
        fix: "Apply `rope_scaling` of the model's configuration, of its type, in the layers that it is meant for.",
        reports: &[
            "sbryngelson/ANEForge#58",
            "lablup/mlxcel#1688",
            "Blaizzy/mlx-vlm#1709",
            "ollama/ollama#12348",
            "meta-llama/llama-models#241",
            "ggml-org/llama.cpp#8676",
        ],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

/// Llama 3.1 and 3.2: factor, low and high frequency factor, original context.
const LLAMA3: [(f64, f64, f64, f64); 3] = [
    (8.0, 1.0, 4.0, 8192.0),
    (32.0, 1.0, 4.0, 8192.0),
    (16.0, 1.0, 4.0, 8192.0),
];

const FAMILIAR: [(f64, &str); 10] = [
    (2.0, "2"),
    (4.0, "4"),
    (8.0, "8"),
    (16.0, "16"),
    (32.0, "32"),
    (0.5, "1/2"),
    (0.25, "1/4"),
    (0.125, "1/8"),
    (0.0625, "1/16"),
    (0.03125, "1/32"),
];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let turning = scene.rope().filter(|rope| !rope.is_none());
    let (Some(rope), Some(x)) = (turning, scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
    let divided = |factor: f64| {
        let places: Vec<f64> = positions.iter().map(|at| at / factor).collect();
        rope.at(&x, &places)
    };
    let mut fits = Vec::new();
    let mut cost = |log: f64| residual(scene.pairs(&divided(log.exp2())));
    let log = minimum(-6.0, 6.0, 241, &mut cost);
    let fitted = log.exp2();
    let factor = FAMILIAR
        .iter()
        .map(|(factor, _)| *factor)
        .find(|factor| (fitted / factor - 1.0).abs() < 1e-3)
        .unwrap_or(fitted);
    if (factor - 1.0).abs() > 1e-3 {
        let claim = format!("all rope angles are divided by {}", short(factor));
        let look = looks_like(factor, &FAMILIAR);
        fits.push(
            scene
                .fit(&divided(factor), Basis::Inputs, claim)
                .fitted("factor", factor, look),
        );
    }
    if rope.factors.is_empty() {
        for constants in LLAMA3 {
            let scaled = Rope {
                factors: llama3(rope, constants),
                ..rope.clone()
            };
            let claim = format!(
                "rope slows low frequencies down as Llama 3 does (factor {}), which this model does not",
                short(constants.0)
            );
            fits.push(
                scene
                    .fit(&scaled.at(&x, &positions), Basis::Inputs, claim)
                    .named("factor", constants.0, None),
            );
        }
    } else {
        let plain = Rope {
            factors: Vec::new(),
            ..rope.clone()
        };
        let claim = "rope frequencies are not scaled, though the model's are";
        fits.push(scene.fit(&plain.at(&x, &positions), Basis::Inputs, claim));
    }
    fits
}

/// Divisors of the frequencies: the factor for wavelengths that do not pass through the original context once, 1 for
/// those that pass four times, a blend between. Source: `rope_scaling` of Llama 3.1's configuration.
fn llama3(rope: &Rope, (factor, low, high, context): (f64, f64, f64, f64)) -> Vec<f64> {
    (0..rope.dims / 2)
        .map(|pair| {
            let wavelength = TAU * rope.theta.powf(2.0 * pair as f64 / rope.dims as f64);
            let smooth = ((context / wavelength - low) / (high - low)).clamp(0.0, 1.0);
            1.0 / ((1.0 - smooth) / factor + smooth)
        })
        .collect()
}
