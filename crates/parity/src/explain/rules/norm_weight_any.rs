//! P019.

use crate::explain::numbers::{list, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Any other weight.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P019",
        name: "another weight in the norm",
        detects: "Everything about the norm is right but its weight, which is no other norm's either: a scale was folded into it that belongs \
                  elsewhere, it was converted or rounded otherwise, or it was never loaded.",
        evidence: "One factor for each lane, fitted to several rows of the candidate's own input at once, which all of them obey.",
        confirm: "Compare the norm's weight in the engine's memory with the file's, lane by lane.",
        fix: "A scale that quantisation folds into a norm belongs to the norm right before the matrix that was divided by it.",
        reports: &["mlx-node/mlx-node#87"],
    },
    kinds: &[Kind::Norm],
    costly: true,
    test,
};

/// Rows that one fitted number for each lane must explain.
const ROWS: usize = 3;

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    found(scene).into_iter().collect()
}

fn found(scene: &Scene<'_>) -> Option<Fit> {
    let (norm, x) = (scene.norm()?, scene.input(Side::Candidate)?);
    let width = norm.weight.len();
    let mut plain = norm.clone();
    plain.weight.fill(1.0);
    plain.bias.fill(0.0);
    let normed = plain.of(&x);
    let per_row = scene.candidate.row_len() / width.max(1);
    if scene.affected().len() * per_row < ROWS || !scene.candidate.row_len().is_multiple_of(width) {
        return None;
    }
    let (mut cross, mut square) = (vec![0.0; width], vec![0.0; width]);
    for row in scene.affected() {
        let lanes = scene.candidate.row(*row).iter().zip(normed.row(*row));
        for (at, (found, normed)) in lanes.enumerate() {
            let lane = at % width;
            cross[lane] += (found - norm.bias[lane]) * normed;
            square[lane] += normed * normed;
        }
    }
    // A weight of NaN would explain rows of NaN.
    if !cross.iter().all(|x| x.is_finite()) {
        return None;
    }
    let mut other = norm.clone();
    other.weight = cross
        .iter()
        .zip(&square)
        .map(|(cross, square)| cross / square)
        .collect();
    let ratios: Vec<f64> = other
        .weight
        .iter()
        .zip(&norm.weight)
        .map(|(a, b)| a / b)
        .collect();
    let (least, most) = ratios.iter().filter(|ratio| ratio.is_finite()).fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), ratio| (least.min(*ratio), most.max(*ratio)),
    );
    let changed: Vec<i64> = (0..width)
        .filter(|lane| (ratios[*lane] - 1.0).abs() > 1e-5)
        .map(|lane| lane as i64)
        .collect();
    let lanes = if changed.len() == width {
        "every lane".to_owned()
    } else {
        format!("lanes {}", list(&changed))
    };
    let claim = format!(
        "the norm multiplies with another weight: {} to {} times the right one, other in {lanes}",
        short(least),
        short(most)
    );
    Some(scene.fit(&other.of(&x), Basis::Inputs, claim).free(width))
}
