//! P022.

use crate::align::Stage;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Rows of Q and K in another order.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P022",
        name: "rows of Q or K shuffled for another rotation",
        detects: "Checkpoints order the rows of Q and K for lanes that turn as halves or as neighbours; converting between the two reorders \
                  rows head by head. Done not at all, twice, or with the wrong number of heads, every vector has its lanes permuted, from \
                  position 0 on. Values stay right.",
        evidence: "The candidate's vectors are the right ones with lanes in that order, the same for all tokens.",
        confirm: "Sort one head of both sides: the values are equal.",
        fix: "Reorder Q with the number of query heads and K with the number of key heads, in exactly one of converter and loader; \
              biases too.",
        reports: &[
            "ggml-org/llama.cpp#3364",
            "huggingface/transformers#31788",
            "karpathy/llama2.c#286",
            "nurl-lang/nurl#584",
            "Dao-AILab/flash-attention#546",
        ],
    },
    kinds: &[Kind::Linear],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    if !matches!(scene.site.stage(), Some(Stage::Q | Stage::K)) {
        return Vec::new();
    }
    let (basis, right) = match scene.expected() {
        Some(expected) => (Basis::Inputs, expected),
        None => (Basis::Reference, scene.reference.clone()),
    };
    let width = right.row_len();
    let [_, heads, lanes] = right.shape[..] else {
        return Vec::new();
    };
    let apart = |heads: usize| {
        order(width, heads, |lane, lanes| {
            lane % (lanes / 2) * 2 + lane / (lanes / 2)
        })
    };
    let woven = |heads: usize| {
        order(width, heads, |lane, lanes| {
            lane / 2 + lane % 2 * (lanes / 2)
        })
    };
    let what = if scene.site.stage() == Some(Stage::Q) {
        "Q"
    } else {
        "K"
    };
    let mut fits = vec![
        permuted(
            scene,
            &right,
            basis,
            &apart(heads),
            format!("the rows of {what} are in half-split order where neighbours turn together"),
        ),
        permuted(
            scene,
            &right,
            basis,
            &woven(heads),
            format!("the rows of {what} are in the order of neighbours where halves turn together"),
        ),
    ];
    // Undone for the right number of heads and done for another.
    for other in
        (1..=4 * heads.max(8)).filter(|other| *other != heads && width.is_multiple_of(2 * other))
    {
        let (undo, redo) = (apart(heads), woven(other));
        let both: Vec<usize> = redo.iter().map(|lane| undo[*lane]).collect();
        let claim = format!(
            "the rows of {what} are reordered as if there were {other} heads instead of {heads}"
        );
        fits.push(permuted(scene, &right, basis, &both, claim).fitted("heads", other as f64, None));
        let (undo, redo) = (woven(heads), apart(other));
        let both: Vec<usize> = redo.iter().map(|lane| undo[*lane]).collect();
        let claim = format!(
            "the rows of {what} are put back as if there were {other} heads instead of {heads}"
        );
        fits.push(permuted(scene, &right, basis, &both, claim).fitted("heads", other as f64, None));
    }
    let _ = lanes;
    fits.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    fits.truncate(3);
    fits
}

/// For each lane of the whole vector the lane that it holds, head by head.
fn order(width: usize, heads: usize, within: impl Fn(usize, usize) -> usize) -> Vec<usize> {
    let lanes = width / heads;
    (0..width)
        .map(|at| at / lanes * lanes + within(at % lanes, lanes))
        .collect()
}

fn permuted(scene: &Scene<'_>, right: &Dense, basis: Basis, order: &[usize], claim: String) -> Fit {
    let width = order.len();
    let data = right
        .data
        .chunks(width)
        .flat_map(|row| order.iter().map(|lane| row[*lane]))
        .collect();
    let made = Dense {
        shape: right.shape.clone(),
        data,
    };
    scene.fit(&made, basis, claim)
}
