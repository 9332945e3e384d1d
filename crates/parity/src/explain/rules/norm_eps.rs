//! P010.

use crate::explain::numbers::{looks_like, minimum, residual, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::recompute::formula::inverse_root;

/// Another epsilon.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P010",
        name: "another epsilon in a norm",
        detects: "The norm adds another number to the mean square than the model's configuration says: usually a default \
                  of 1e-5 or 1e-6 that was never replaced. Every row is off by its own factor, the more the smaller its \
                  magnitude; directions stay right.",
        evidence: "The epsilon that makes the candidate's output of its own input, fitted over all rows that differ.",
        confirm: "Print the epsilon that the engine passes to its norm, and `attention.layer_norm_rms_epsilon` (GGUF) or \
                  `rms_norm_eps` (config.json) of the model.",
        fix: "Read epsilon from the model's metadata for each norm; models differ, and some have several.",
        reports: &["huggingface/candle#271", "tracel-ai/burn#4410"],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

/// Values that models and libraries use.
const FAMILIAR: [(f64, &str); 8] = [
    (1e-5, "1e-5"),
    (1e-6, "1e-6"),
    (1e-12, "1e-12"),
    (1e-8, "1e-8"),
    (1e-7, "1e-7"),
    (1e-3, "1e-3"),
    (1e-4, "1e-4"),
    (f32::EPSILON as f64, "the epsilon of f32"),
];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(norm), Some(x)) = (scene.norm(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let made = |eps: f64| norm.with(&x, norm.centred, &|square| inverse_root(square, eps));
    let mut cost = |log: f64| residual(scene.pairs(&made(10_f64.powf(log))));
    let fitted = 10_f64.powf(minimum(-13.0, 1.0, 57, &mut cost));
    // The nearest familiar value may explain as well as the fitted one; a fit cannot tell 1e-6 from 1.02e-6 by itself.
    let near = FAMILIAR
        .iter()
        .filter(|(eps, _)| (fitted / eps).ln().abs() < 0.25)
        .find(|(eps, _)| scene.residual(&made(*eps)) <= 1.5 * scene.residual(&made(fitted)) + 1e-7);
    let eps = near.map_or(fitted, |(eps, _)| *eps);
    if (eps / norm.eps).ln().abs() < 0.01 {
        return Vec::new();
    }
    let look = near
        .map(|(_, name)| (*name).to_owned())
        .or_else(|| looks_like(eps, &FAMILIAR));
    if look.is_none() && scene.is_one_normed_row() {
        return Vec::new();
    }
    let claim = format!(
        "the norm uses epsilon {} instead of {}",
        short(eps),
        short(norm.eps)
    );
    vec![
        scene
            .fit(&made(eps), Basis::Inputs, claim)
            .fitted("eps", eps, look),
    ]
}
