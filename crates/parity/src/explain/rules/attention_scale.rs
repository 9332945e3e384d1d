//! P050.

use crate::explain::numbers::{factor, looks_like, minimum, residual, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Another scale of the scores.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P050",
        name: "another scale of attention scores",
        detects: "Products of queries and keys are multiplied with another factor than the model's, usually 1/√head_dim: not at \
                  all, twice, with the width of something else, by the layer's number.",
        evidence: "The factor fitted to the candidate's scores (or probabilities, or context of fused attention) against its own \
                   queries and keys, and what it looks like.",
        confirm: "At position 0 attention sees one token, so that its context is right whatever the scale.",
        fix: "Scale once, by the model's own factor; it is not always 1/√head_dim (Gemma 2: 1/√query_pre_attn_scalar).",
        reports: &[
            "ggml-org/llama.cpp#8444",
            "TransformerLensOrg/TransformerLens#27",
            "huggingface/transformers#47435",
            "NeuraLegion/shainet#176",
            "OpenNMT/CTranslate2#1882",
        ],
    },
    kinds: &[Kind::Scores, Kind::Probs, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let ratio = match scene.kind() {
        Kind::Scores => {
            let Some(expected) = scene.expected() else {
                return Vec::new();
            };
            // A cache that holds scaled keys scales the context's values too, and is another mistake.
            if scene.values_scaled().is_some() {
                return Vec::new();
            }
            factor(scene.pairs(&expected))
        }
        kind if attention.has_softmax(kind) => {
            let mut cost = |log: f64| {
                let mut changed = attention.clone();
                changed.temperature = log.exp2();
                changed
                    .predict(kind)
                    .map_or(f64::INFINITY, |made| residual(scene.pairs(&made)))
            };
            Some(minimum(-10.0, 10.0, 81, &mut cost).exp2())
        }
        _ => None,
    };
    let Some(ratio) = ratio.filter(|ratio| ratio.abs() > 1e-9) else {
        return Vec::new();
    };
    let made: Option<Dense> = match scene.kind() {
        Kind::Scores => scene.expected().map(|expected| expected.map(|x| x * ratio)),
        kind => {
            let mut changed = attention.clone();
            changed.temperature = ratio;
            changed.predict(kind)
        }
    };
    let Some(made) = made else {
        return Vec::new();
    };
    let scale = attention.scale * ratio;
    let look = looks_like(scale, &familiar(scene, attention.scale));
    let claim = match &look {
        Some(look) => format!(
            "scores are scaled by {}, which is {look}, instead of {}",
            short(scale),
            short(attention.scale)
        ),
        None => format!(
            "scores are scaled by {} instead of {}",
            short(scale),
            short(attention.scale)
        ),
    };
    vec![
        scene
            .fit(&made, Basis::Inputs, claim)
            .fitted("scale", scale, look),
    ]
}

/// Scales that mistakes make.
fn familiar(scene: &Scene<'_>, right: f64) -> Vec<(f64, String)> {
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let (heads, lanes) = (
        attention.queries.shape[1] as f64,
        attention.queries.shape[2] as f64,
    );
    let key_heads = attention.keys.shape[1] as f64;
    let mut known = vec![
        (1.0, "no scale at all".to_owned()),
        (right * right, "the right scale applied twice".to_owned()),
        (
            1.0 / lanes,
            format!("1/{lanes}: without the root, or applied twice"),
        ),
        (
            1.0 / lanes.sqrt(),
            format!("1/√{lanes}, of the head's width"),
        ),
        (
            (lanes).sqrt(),
            format!("√{lanes}: multiplied instead of divided"),
        ),
        (
            1.0 / (heads * lanes).sqrt(),
            format!("1/√{}, of all heads together", heads * lanes),
        ),
        (
            1.0 / (key_heads * lanes).sqrt(),
            format!("1/√{}, of all key heads together", key_heads * lanes),
        ),
        (
            1.0 / heads.sqrt(),
            format!("1/√{heads}, of the number of heads"),
        ),
    ];
    if let Some(model) = scene.model {
        let width = model.hparams().embedding as f64;
        known.push((
            1.0 / width.sqrt(),
            format!("1/√{width}, of the embedding's width"),
        ));
    }
    if let Some(layer) = scene.site.layer.filter(|layer| *layer > 0) {
        let number = f64::from(layer) + 1.0;
        known.push((
            right / number,
            format!("the right scale divided by the layer's number {number}"),
        ));
        known.push((
            right / f64::from(layer),
            format!("the right scale divided by the layer's index {layer}"),
        ));
    }
    known
}
