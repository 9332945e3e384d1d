//! P028.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Part of the sum lost.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P028",
        name: "part of the sum lost",
        detects: "The last inputs do not take part in the product: one part of a split sum is dropped, a loop ends too early, a rank's share is \
                  not reduced.",
        evidence: "The product of the candidate's own input without its last lanes; their number is fitted.",
        confirm: "Multiply an input that is zero but for its last lane.",
        fix: "Check the bounds of the loop over the inner dimension, and that every part of a split sum is added.",
        reports: &[
            "vllm-project/tpu-inference#3435",
            "ikawrakow/ik_llama.cpp#2136",
        ],
    },
    kinds: &[Kind::Linear],
    costly: true,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(linear) = scene.linear() else {
        return Vec::new();
    };
    let columns = linear.matrix.columns();
    let Some(row) = scene.affected().first().copied() else {
        return Vec::new();
    };
    // Partial sums of one row, from the first lane on and from the last: where they meet the candidate's.
    let width = scene.candidate.row_len();
    let outputs: Vec<usize> = (0..width).step_by((width / 64).max(1)).collect();
    let input = &linear.x.data[row * columns..(row + 1) * columns];
    let bias = |output: usize| linear.bias.as_ref().map_or(0.0, |bias| bias[output]);
    let found: Vec<f64> = outputs
        .iter()
        .map(|output| scene.candidate.row(row)[*output] - bias(*output))
        .collect();
    let mut fits = Vec::new();
    for from_end in [false, true] {
        let mut sums = vec![0.0; outputs.len()];
        let mut best = (f64::INFINITY, 0);
        for count in 1..columns {
            let column = if from_end { columns - count } else { count - 1 };
            let mut error = 0.0;
            for (index, output) in outputs.iter().enumerate() {
                sums[index] += linear.matrix.at(*output, column) * input[column];
                error += (sums[index] - found[index]) * (sums[index] - found[index]);
            }
            if error < best.0 {
                best = (error, count);
            }
        }
        let kept = best.1;
        let mut x = linear.x.as_ref().clone();
        for row in x.data.chunks_mut(columns) {
            if from_end {
                row[..columns - kept].fill(0.0);
            } else {
                row[kept..].fill(0.0);
            }
        }
        if let Some(made) = linear.of(&x) {
            let side = if from_end { "first" } else { "last" };
            let claim = format!(
                "the {side} {} of {columns} inputs are left out of the sums",
                columns - kept
            );
            fits.push(
                scene
                    .fit(&linear.with_bias(&made, 1.0), Basis::Inputs, claim)
                    .fitted("lost", (columns - kept) as f64, None),
            );
        }
    }
    fits
}
