//! P021.

use super::weight_strides;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Transposed or reshaped.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P021",
        name: "matrix read by columns",
        detects: "A weight matrix is read in the wrong order: transposed (a square one raises no error), or reshaped where it should be \
                  transposed, so that its elements stay where they are and the leading dimension is wrong. Or its rows, or those of the \
                  batch, are taken to lie further apart than they do.",
        evidence: "The product of the candidate's own input with the matrix read that way. Without the model file a square matrix is \
                   proven by symmetry: for W and its transpose, x·(Wᵀy) = (Wx)·y for all pairs of rows.",
        confirm: "Multiply a unit vector: the result must be one column of the matrix as the file has it.",
        fix: "GGUF and PyTorch store [out, in], row by row; transpose for libraries that want [in, out], and give cuBLAS the right \
              leading dimension.",
        reports: &[
            "1bit-MONSTER/1bit-MONSTER#864",
            "AutoGPTQ/AutoGPTQ#139",
            "1bit-MONSTER/1bit-MONSTER#572",
        ],
    },
    kinds: &[Kind::Linear],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(linear) = scene.linear() else {
        return by_symmetry(scene).into_iter().collect();
    };
    let (rows, columns) = (linear.matrix.rows.len(), linear.matrix.columns());
    let mut fits = Vec::new();
    if rows == columns {
        let made = linear.with_weights(&|row, column| linear.matrix.at(column, row));
        fits.push(scene.fit(
            &made,
            Basis::Inputs,
            format!("`{}` is multiplied transposed", linear.matrix.name),
        ));
    } else {
        // Row-major [in, out] over bytes that are row-major [out, in].
        let made = linear.with_weights(&|row, column| linear.flat_weight(column * rows + row));
        let claim = format!(
            "`{}` is read with the wrong leading dimension: reshaped where it should be transposed",
            linear.matrix.name
        );
        fits.push(scene.fit(&made, Basis::Inputs, claim));
    }
    fits.extend(weight_strides::test(scene, linear));
    fits
}

/// x_s · candidate(t) = reference(s) · x_t, where the matrix is square and without a bias.
fn by_symmetry(scene: &Scene<'_>) -> Option<Fit> {
    let x = scene.input(Side::Reference)?;
    let tokens = x.n_rows();
    if x.row_len() != scene.candidate.row_len() || tokens < 3 {
        return None;
    }
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let (mut error, mut total) = (0.0, 0.0);
    for s in 0..tokens {
        for t in 0..tokens {
            let (found, expected) = (
                dot(x.row(s), scene.candidate.row(t)),
                dot(scene.reference.row(s), x.row(t)),
            );
            error += (found - expected) * (found - expected);
            total += found * found;
        }
    }
    let mut fit = scene.fit(
        &scene.reference,
        Basis::Reference,
        "the matrix is multiplied transposed: both sides' products are symmetric",
    );
    (fit.residual, fit.residual_all) = ((error / total).sqrt(), (error / total).sqrt());
    Some(fit)
}
