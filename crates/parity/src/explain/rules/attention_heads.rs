//! P052.

use crate::explain::numbers::residual;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Query heads read other key heads.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P052",
        name: "query heads read the wrong key heads",
        detects: "With fewer key heads than query heads, each key head serves a group of neighbouring query heads (0 0 1 1 2 2). \
                  Repeating the key heads as a whole (0 1 2 0 1 2), or any other map, mixes groups.",
        evidence: "The candidate's scores or context recomputed from its own inputs with the other map; where none of the usual \
                   ones fits, the map found head by head.",
        confirm: "At position 0 the context of head h is the value head that it reads.",
        fix: "Key head = query head ÷ (heads / key heads): `repeat_interleave`, not `repeat` or `tile`.",
        reports: &["onnx/onnx#7274"],
    },
    kinds: &[Kind::Scores, Kind::Probs, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let (heads, key_heads) = (attention.queries.shape[1], attention.keys.shape[1]);
    if key_heads < 2 {
        return Vec::new();
    }
    let predict = |key_head: Vec<usize>| {
        let mut changed = attention.clone();
        changed.key_head = key_head;
        changed.predict(scene.kind())
    };
    let tiled: Vec<usize> = (0..heads).map(|head| head % key_heads).collect();
    let mut fits = Vec::new();
    if tiled != attention.key_head
        && let Some(made) = predict(tiled)
    {
        let claim = "key heads are repeated as a whole (0 1 0 1) where each should be repeated in turn (0 0 1 1)";
        fits.push(scene.fit(&made, Basis::Inputs, claim));
    }
    // Head by head: which key head explains each query head best.
    let all: Option<Vec<_>> = (0..key_heads)
        .map(|key| predict(vec![key; heads]))
        .collect();
    let Some(all) = all else {
        return fits;
    };
    let inner = scene.candidate.last_len();
    let map: Vec<usize> = (0..heads)
        .map(|head| {
            let cost = |made: &crate::tensor::Dense| {
                let in_head = |index: usize| index / inner % heads == head;
                let pairs = scene.candidate.data.iter().zip(&made.data).enumerate();
                residual(
                    pairs
                        .filter(|(index, _)| in_head(*index))
                        .map(|(_, (a, b))| (*a, *b)),
                )
            };
            let costs: Vec<f64> = all.iter().map(cost).collect();
            (0..key_heads)
                .min_by(|a, b| costs[*a].total_cmp(&costs[*b]))
                .unwrap_or(0)
        })
        .collect();
    if map != attention.key_head
        && let Some(made) = predict(map.clone())
    {
        let names: Vec<String> = map.iter().map(usize::to_string).collect();
        let claim = format!(
            "query heads read key heads {} instead of each group its own",
            names.join(" ")
        );
        fits.push(scene.fit(&made, Basis::Inputs, claim).free(heads));
    }
    fits
}
