//! P001.

use crate::explain::formula::blocks::Stored;
use crate::explain::numbers::list;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

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
            // A bias swallows what is tiny without being zero. Of quantised blocks that is another mistake, which
            // shows in all matrices of the block at once; zeros there would be as many mistakes.
            let others = if Stored::of(&linear.matrix.weight.dtype).is_some() {
                vanishing(scene)
            } else {
                0
            };
            return vec![if others == 0 {
                fit
            } else {
                fit.free(others).only_likely()
            }];
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

/// Size against the reference's below which nothing but rounding would be left of a sum.
const VANISHES: f64 = 1e-6;

/// Other projections of the block of which nothing is left on the candidate's side, a bias apart.
fn vanishing(scene: &Scene<'_>) -> usize {
    use crate::align::Stage as S;
    [
        S::Q,
        S::K,
        S::V,
        S::AttnOut,
        S::FfnGate,
        S::FfnUp,
        S::FfnOut,
    ]
    .into_iter()
    .filter(|stage| scene.site.stage() != Some(*stage))
    .filter_map(|stage| {
        let other = Scene::new(
            scene.known,
            &scene.site.neighbour(stage)?,
            scene.tokens.clone(),
        )?;
        let linear = other.linear()?;
        let bias = linear.with_bias(&linear.product.map(|_| 0.0), 1.0);
        let left = other.candidate.zip(&bias, |found, bias| found - bias)?;
        let size = |x: &Dense| x.data.iter().map(|x| x * x).sum::<f64>();
        Some(size(&left) <= VANISHES * VANISHES * size(&other.reference))
    })
    .filter(|vanishes| *vanishes)
    .count()
}
