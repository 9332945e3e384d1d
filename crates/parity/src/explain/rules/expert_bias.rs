//! P101.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use std::collections::BTreeMap;

/// The bias of the choice in the weights.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P101",
        name: "selection bias in the experts' weights",
        detects: "Experts are chosen by biased scores and weighted by those, too, where the model weights them by the scores without the bias.",
        evidence: "The difference of the weights is one number for each expert, whatever the token: the bias, fitted.",
        confirm: "Compare the fitted numbers with the router's bias (`exp_probs_b` in GGUF, `e_score_correction_bias`).",
        fix: "Choose by score + bias, gather from the scores.",
        reports: &["vllm-project/vllm#12002"],
    },
    kinds: &[Kind::ExpertWeights],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    found(scene).into_iter().collect()
}

fn found(scene: &Scene<'_>) -> Option<Fit> {
    let gathered = scene.gathered()?;
    let right = gathered.expected()?;
    // A bias of NaN would explain NaN.
    if !scene.candidate.data.iter().all(|x| x.is_finite()) {
        return None;
    }
    let mut by_expert: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let slots = || right.data.iter().zip(&gathered.chosen.data);
    for ((right, expert), found) in slots().zip(&scene.candidate.data) {
        by_expert
            .entry(*expert as u64)
            .or_default()
            .push(found - right);
    }
    // As many numbers as slots would fit anything.
    if by_expert.len() * 2 > right.data.len() {
        return None;
    }
    let mean = |numbers: &Vec<f64>| numbers.iter().sum::<f64>() / numbers.len() as f64;
    let bias: BTreeMap<u64, f64> = by_expert
        .iter()
        .map(|(expert, differences)| (*expert, mean(differences)))
        .collect();
    let mut made = right.clone();
    for (weight, expert) in made.data.iter_mut().zip(&gathered.chosen.data) {
        *weight += bias[&(*expert as u64)];
    }
    let claim =
        "each expert's weight is off by a number of its own: the bias that it is chosen with";
    let mut fit = scene.fit(&made, Basis::Inputs, claim).free(bias.len());
    for (expert, bias) in bias.iter().take(4) {
        fit = fit.evidence(&format!("bias of expert {expert}"), *bias);
    }
    Some(fit)
}
