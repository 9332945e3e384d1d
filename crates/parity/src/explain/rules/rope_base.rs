//! P034.

use crate::explain::formula::rope::{Rope, USUAL_BASES};
use crate::explain::numbers::{looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Another base.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P034",
        name: "another base of the rope frequencies",
        detects: "Frequencies are computed from another base than the model's (usually the default 10000), or the exponent is i/d \
                  instead of 2i/d, which is the same as the base's root. Fast pairs are nearly right, slow ones are not, and it \
                  gets worse with the position.",
        evidence: "The base fitted to the angles by which the candidate turned its own input.",
        confirm: "Print `rope_theta` as the engine uses it; `rope.freq_base` (GGUF) or `rope_theta` (config.json) has the right one.",
        fix: "Read the base from the model; check prompt and decode paths, which may build their tables apart.",
        reports: &["huggingface/candle#3746", "mit-han-lab/llm-awq#311"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let turning = scene.rope().filter(|rope| !rope.is_none());
    let (Some(rope), Some(x)) = (turning, scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
    let with = |theta: f64| {
        let other = Rope {
            theta,
            ..rope.clone()
        };
        other.at(&x, &positions)
    };
    let turned = scene
        .affected()
        .iter()
        .copied()
        .find(|row| positions[*row] > 0.0);
    let Some(row) = turned else {
        return Vec::new();
    };
    let angles: Vec<f64> = rope
        .phases(&x, &scene.candidate, row)
        .into_iter()
        .map(|(angle, _)| angle)
        .collect();
    let mut bases: Vec<(f64, bool)> = USUAL_BASES.map(|base| (base, true)).to_vec();
    bases.push((rope.theta.sqrt(), false));
    bases.push((rope.theta * rope.theta, false));
    bases.extend(
        rope.base_of(&angles, positions[row])
            .map(|base| (base, true)),
    );
    bases.retain(|(base, _)| (base / rope.theta - 1.0).abs() > 1e-4);
    let judged: Vec<(f64, f64, bool)> = bases
        .into_iter()
        .map(|(base, free)| (scene.residual(&with(base)), base, free))
        .collect();
    let least = judged
        .iter()
        .map(|(residual, _, _)| *residual)
        .fold(f64::INFINITY, f64::min);
    // A base that is not fitted is the better explanation where it leaves about as little.
    let close = judged
        .iter()
        .copied()
        .filter(|(residual, _, _)| *residual <= 1.5 * least + 2e-7);
    let best = close.min_by(|a, b| {
        (a.2, a.0)
            .partial_cmp(&(b.2, b.0))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let Some((_, base, free)) = best else {
        return Vec::new();
    };
    let familiar: Vec<(f64, String)> = USUAL_BASES
        .iter()
        .map(|base| (*base, short(*base)))
        .collect();
    if !free {
        let claim = if base < rope.theta {
            format!(
                "rope's exponent is i/d instead of 2i/d, as if the base were √{}",
                short(rope.theta)
            )
        } else {
            format!(
                "rope's exponent is twice what it should be, as if the base were {}²",
                short(rope.theta)
            )
        };
        return vec![
            scene
                .fit(&with(base), Basis::Inputs, claim)
                .named("base", base, None),
        ];
    }
    let claim = format!(
        "rope's base is {} instead of {}",
        short(base),
        short(rope.theta)
    );
    vec![scene.fit(&with(base), Basis::Inputs, claim).fitted(
        "base",
        base,
        looks_like(base, &familiar),
    )]
}
