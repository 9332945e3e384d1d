//! P063.

use crate::explain::numbers::{minimum, residual};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// A bias by distance.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P063",
        name: "scores biased by distance",
        detects: "Scores are lowered in proportion to the distance of the two tokens (ALiBi) where the model has no such bias, or with \
                  other slopes than the model's.",
        evidence: "The candidate's probabilities recomputed from its own scores with ALiBi's slopes, or with one fitted factor of them.",
        confirm: "The difference of scores divided by the distance is one number for each head.",
        fix: "Rotary models have no bias; ALiBi's slopes are 2^(−8h/heads), interpolated where heads are no power of two.",
        reports: &[
            "paiml/aprender#2143",
            "NVIDIA/TensorRT-LLM#1343",
            "huggingface/transformers#8518",
        ],
    },
    kinds: &[Kind::Scores, Kind::Probs, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let kind = scene.kind();
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let heads = attention.queries.shape[1];
    let slopes = |times: f64| -> Vec<f64> {
        (1..=heads)
            .map(|head| times * (-8.0 * head as f64 / heads as f64).exp2())
            .collect()
    };
    let with = |times: f64| {
        let mut changed = attention.clone();
        if kind == Kind::Scores {
            let mut scores = attention.scaled();
            let kv = scores.last_len();
            for (index, score) in scores.data.iter_mut().enumerate() {
                let (row, head, column) = (index / (heads * kv), index / kv % heads, index % kv);
                let distance = scene.tokens.start + row as i64 - column as i64;
                *score -= slopes(times)[head] * distance.abs() as f64;
            }
            return Some(scores);
        }
        changed
            .has_softmax(kind)
            .then(|| changed.slopes = Some(slopes(times)))?;
        changed.predict(kind)
    };
    let Some(plain) = with(1.0) else {
        return Vec::new();
    };
    let mut fits = vec![scene.fit(
        &plain,
        Basis::Inputs,
        "scores are lowered by distance as ALiBi does, in a model without it",
    )];
    if fits[0].residual > 1e-4 {
        let mut cost =
            |times: f64| with(times).map_or(f64::INFINITY, |made| residual(scene.pairs(&made)));
        let times = minimum(-4.0, 4.0, 41, &mut cost);
        if let Some(made) = with(times) {
            let claim = "scores are biased by distance with slopes in ALiBi's proportions";
            fits.push(scene.fit(&made, Basis::Inputs, claim).fitted(
                "times ALiBi's slopes",
                times,
                None,
            ));
        }
    }
    fits
}
