//! P100.

use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Weights made of the right probabilities in another way.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P100",
        name: "experts' weights normalised or scaled otherwise",
        detects: "The weights of the chosen experts sum to one where the model takes the probabilities as they are, or the other way round (a \
                  softmax over the chosen logits only is the first); or the factor of the routed experts is missing, or applied twice.",
        evidence: "The candidate's weights recomputed from its own probabilities and choices, with and without normalisation, and with a fitted factor.",
        confirm: "Sum a token's weights: one, or the probability of the chosen ones.",
        fix: "`norm_topk_prob` and `routed_scaling_factor` of the configuration; the factor does not depend on the other.",
        reports: &[
            "lablup/mlxcel#391",
            "pytorch/torchtitan#1448",
            "sgl-project/sglang-jax#1282",
        ],
    },
    kinds: &[Kind::ExpertWeights, Kind::ExpertSum],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    match scene.kind() {
        Kind::ExpertWeights => weights(scene),
        _ => sum(scene),
    }
    .unwrap_or_default()
}

fn weights(scene: &Scene<'_>) -> Option<Vec<Fit>> {
    let gathered = scene.gathered()?;
    let mut fits = Vec::new();
    for normalised in [gathered.normalised, !gathered.normalised] {
        let how = match (normalised == gathered.normalised, normalised) {
            (true, _) => None,
            (false, true) => Some(
                "the weights of a token's experts are made to sum to one, which the reference does not do",
            ),
            (false, false) => Some(
                "the weights of a token's experts are not made to sum to one, as the reference does",
            ),
        };
        let made = gathered.with(normalised, gathered.scale)?;
        if let Some(how) = how {
            fits.push(scene.fit(&made, Basis::Inputs, how));
        }
        fits.extend(scaled(scene, &made, gathered.scale, how));
    }
    Some(fits)
}

/// The factor alone, or with the other normalisation.
fn scaled(scene: &Scene<'_>, made: &Dense, scale: f64, how: Option<&str>) -> Option<Fit> {
    let times = factor(scene.pairs(made))?;
    if times == 0.0 || (times - 1.0).abs() < 1e-6 {
        return None;
    }
    let known = [
        (
            scale,
            format!("{}, the reference's factor once more", short(scale)),
        ),
        (
            1.0 / scale,
            format!("1/{}, the reference's factor missing", short(scale)),
        ),
    ];
    let look = looks_like(times, &known).filter(|_| (scale - 1.0).abs() > 1e-6);
    let mut claim = format!("the weights are {} times the right ones", short(times));
    if let Some(look) = &look {
        claim = format!("{claim}: {look}");
    }
    if let Some(how) = how {
        claim = format!("{claim}, and {how}");
    }
    let fit = scene.fit(&made.map(|x| x * times), Basis::Inputs, claim);
    Some(fit.fitted("factor", times, look))
}

/// The factor at the sum, where weights are logged before it.
fn sum(scene: &Scene<'_>) -> Option<Vec<Fit>> {
    let mixture = scene.mixture()?;
    let routed = mixture.routed(&mixture.weights)?;
    let added = mixture
        .added(mixture.form)
        .unwrap_or_else(|| routed.map(|_| 0.0));
    let rest: Vec<f64> = scene
        .pairs(&added)
        .map(|(sum, added)| sum - added)
        .collect();
    let parts: Vec<f64> = scene.pairs(&routed).map(|(_, routed)| routed).collect();
    let times = factor(rest.into_iter().zip(parts))?;
    if times == 0.0 || (times - 1.0).abs() < 1e-6 {
        return None;
    }
    let made = routed.zip(&added, |routed, added| times * routed + added)?;
    let claim = format!("the routed experts are added {} times", short(times));
    Some(vec![
        scene
            .fit(&made, Basis::Inputs, claim)
            .fitted("factor", times, None),
    ])
}
