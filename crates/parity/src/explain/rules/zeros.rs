//! P001.

use crate::explain::numbers::list;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Zero, as a whole or in part.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P001",
        name: "not computed: zeros",
        detects: "The whole tensor, some of its rows or some of its lanes are exactly zero where they should not be, and the rest is right: a \
                  weight left at zero, a kernel launched for the first row only, a grid that does not reach the end.",
        evidence: "The right tensor with exactly these elements zero.",
        confirm: "Fill the output buffer with NaN before the operation and see what stays.",
        fix: "Check the launch grid against the shape (rounding up), and that the tensor was loaded.",
        reports: &[
            "raven-ml/raven#81",
            "ml-explore/mlx#3494",
            "tenstorrent/tt-metal#54413",
        ],
    },
    kinds: Kind::ALL,
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    // Zeros are what a mask makes; other rules know about those.
    if matches!(scene.kind(), Kind::Probs | Kind::Scores | Kind::Activation) {
        return Vec::new();
    }
    let (basis, right) = match scene.expected() {
        Some(expected) => (Basis::Inputs, expected),
        None => (Basis::Reference, scene.reference.clone()),
    };
    if let Some(linear) = scene.linear()
        && linear.bias.is_some()
    {
        let nothing = linear.product.map(|_| 0.0);
        let claim = "the product is zero and only the bias is left: the weights are zero";
        let fit = scene.fit(&linear.with_bias(&nothing, 1.0), basis, claim);
        if fit.residual < 1e-3 {
            return vec![fit];
        }
    }
    let found = &scene.candidate.data;
    let stray = |index: usize| found[index] == 0.0 && right.data[index] != 0.0;
    let zero = (0..found.len()).filter(|index| stray(*index)).count();
    if zero == 0 {
        return Vec::new();
    }
    let mut made = right.as_ref().clone();
    (0..found.len())
        .filter(|index| stray(*index))
        .for_each(|index| made.data[index] = 0.0);
    let width = found.len() / scene.candidate.shape[0].max(1);
    let rows: Vec<i64> = (0..scene.candidate.shape[0])
        .filter(|row| {
            found[row * width..(row + 1) * width]
                .iter()
                .all(|x| *x == 0.0)
        })
        .map(|row| scene.tokens.start + row as i64)
        .collect();
    let lanes: Vec<i64> = (0..width)
        .filter(|lane| scene.affected().iter().all(|row| stray(row * width + lane)))
        .map(|lane| lane as i64)
        .collect();
    let claim = if rows.len() == scene.candidate.shape[0] {
        "all elements are zero: the weights are zero, or the result was never written".to_owned()
    } else if rows.len() * width == zero {
        format!(
            "the rows of positions {} are zero: they were not computed",
            list(&rows)
        )
    } else if lanes.len() * scene.affected().len() == zero {
        format!(
            "{} of {width} lanes ({}) are zero in every row: they were not computed",
            lanes.len(),
            list(&lanes)
        )
    } else {
        return Vec::new();
    };
    vec![scene.fit(&made, basis, claim)]
}
