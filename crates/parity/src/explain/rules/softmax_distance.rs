//! P063.

use crate::explain::numbers::{factor, minimum, residual};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use std::collections::BTreeMap;

/// A bias by distance.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P063",
        name: "scores biased by distance",
        detects: "Scores are lowered in proportion to the distance of the two tokens (ALiBi) where the model has no such bias, or with \
                  other slopes than the model's; or by a table of numbers for each head and distance (T5), read at another place.",
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
    fits.extend(table(scene));
    fits
}

/// Any number for each head and distance, as T5 and its kin have them in a table.
fn table(scene: &Scene<'_>) -> Option<Fit> {
    let attention = scene.attention().filter(|_| scene.kind() == Kind::Scores)?;
    let products = attention.products();
    let (heads, kv) = (attention.queries.shape[1], products.last_len());
    if products.data.len() != scene.candidate.data.len() {
        return None;
    }
    let visible = |index: usize| {
        let (row, head, column) = (index / (heads * kv), index / kv % heads, index % kv);
        let distance = scene.tokens.start + row as i64 - column as i64;
        (distance >= 0).then_some((head, distance))
    };
    let mut places: BTreeMap<(usize, i64), Vec<(f64, f64)>> = BTreeMap::new();
    let all = scene.candidate.data.iter().zip(&products.data);
    for (index, (found, product)) in all.enumerate() {
        let Some(place) = visible(index) else {
            continue;
        };
        // A mean of NaN would explain NaN.
        if !found.is_finite() {
            return None;
        }
        places.entry(place).or_default().push((*found, *product));
    }
    let pairs: usize = places.values().map(Vec::len).sum();
    if places.len() * 2 > pairs {
        return None;
    }
    let mean = |pairs: &[(f64, f64)]| {
        let n = pairs.len() as f64;
        let sums = pairs
            .iter()
            .fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
        (sums.0 / n, sums.1 / n)
    };
    // A table shifts all scores of a place alike, so that the scale shows in their differences.
    let centred = places.values().flat_map(|pairs| {
        let (found, product) = mean(pairs);
        pairs
            .iter()
            .map(move |pair| (pair.0 - found, pair.1 - product))
    });
    let scale = factor(centred)?;
    let bias = |place| {
        let (found, product) = mean(places.get(&place)?);
        Some(found - scale * product)
    };
    let mut made = products.map(|product| scale * product);
    for (index, score) in made.data.iter_mut().enumerate() {
        *score += visible(index).and_then(bias).unwrap_or(0.0);
    }
    let claim = "a number is added to each score that depends on head and distance alone: a table of relative positions, or another place in it";
    let mut fit = scene
        .fit(&made, Basis::Inputs, claim)
        .free(places.len() + 1)
        .evidence("scale", scale);
    for distance in 0..4 {
        if let Some(bias) = bias((0, distance)) {
            fit = fit.evidence(&format!("head 0, distance {distance}"), bias);
        }
    }
    Some(fit)
}
