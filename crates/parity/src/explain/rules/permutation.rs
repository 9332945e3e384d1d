//! P004.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Lanes in another order.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P004",
        name: "lanes in another order",
        detects: "Every row holds the right values in another order, the same for all rows: a layout that is not what the consumer expects. \
                  Where the consumer expects it, it is no mistake.",
        evidence: "One order of the lanes that explains all rows; it is found in one row and must hold in the others.",
        confirm: "Sort a row of both sides: they are equal.",
        fix: "Agree on one layout; if the consumer undoes it, tell the comparison so.",
        reports: &["vllm-project/vllm-metal#44", "ggml-org/llama.cpp#3364"],
    },
    kinds: &[
        Kind::Norm,
        Kind::Linear,
        Kind::Rope,
        Kind::Context,
        Kind::Activation,
        Kind::Other,
    ],
    costly: true,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (basis, right) = match scene.expected() {
        Some(expected) => (Basis::Inputs, expected),
        None => (Basis::Reference, scene.reference.clone()),
    };
    let width = scene.candidate.row_len();
    let rows = scene.affected();
    if rows.len() < 2 || width < 4 {
        return Vec::new();
    }
    // One row is matched by rank; rows that the order was not taken from are the proof.
    let ranks = |row: &[f64]| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*a].total_cmp(&row[*b]));
        order
    };
    let (theirs, ours) = (
        ranks(right.row(rows[0])),
        ranks(scene.candidate.row(rows[0])),
    );
    let mut from = vec![0; width];
    ours.iter()
        .zip(&theirs)
        .for_each(|(ours, theirs)| from[*ours] = *theirs);
    let moved = from
        .iter()
        .enumerate()
        .filter(|(at, from)| at != *from)
        .count();
    if moved == 0 {
        return Vec::new();
    }
    let made = Dense {
        shape: right.shape.clone(),
        data: right
            .data
            .chunks(width)
            .flat_map(|row| from.iter().map(|lane| row[*lane]))
            .collect(),
    };
    let claim = format!("{moved} of {width} lanes stand in another order, the same in every row");
    vec![scene.fit(&made, basis, claim).free(moved)]
}
