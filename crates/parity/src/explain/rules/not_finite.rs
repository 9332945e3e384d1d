//! P006.

use crate::explain::numbers::list;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// NaN from nowhere.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P006",
        name: "NaN from outside the tensor",
        detects: "Whole rows are NaN although everything that goes in is finite: the operation reads memory past the end of its inputs \
                  (padding, an uninitialised cache) and multiplies it with zero, which does not make NaN zero.",
        evidence: "All inputs of the operation are finite on the candidate's own side, and the right result too; the other rows are right.",
        confirm: "Fill padding with zeros: the NaNs go away. Fill it with NaN: they come to stay.",
        fix: "Do not read past the length, or clear what is read.",
        reports: &["Dao-AILab/flash-attention#1745", "kekzl/imp#1282"],
    },
    kinds: &[Kind::Linear, Kind::Context, Kind::Norm, Kind::Scores],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(expected) = scene.expected() else {
        return Vec::new();
    };
    let width = scene.candidate.row_len();
    let bad = |row: usize| scene.candidate.row(row).iter().all(|x| x.is_nan());
    let rows: Vec<usize> = (0..scene.candidate.n_rows())
        .filter(|row| bad(*row))
        .collect();
    if rows.is_empty() || expected.data.iter().any(|x| !x.is_finite()) {
        return Vec::new();
    }
    let mut made = expected.as_ref().clone();
    for row in &rows {
        made.data[row * width..(row + 1) * width].fill(f64::NAN);
    }
    let positions: Vec<i64> = rows
        .iter()
        .map(|row| scene.tokens.start + *row as i64)
        .collect();
    let claim = format!(
        "the rows of positions {} are NaN although all inputs are finite: something outside them was read",
        list(&positions)
    );
    vec![scene.fit(&made, Basis::Inputs, claim)]
}
