//! P091.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;

/// Rows of other tokens or positions.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P091",
        name: "embedding rows of other tokens or positions",
        detects: "The rows looked up are those of other ids (the id after, the token of the step before), or learned positions come from another \
                  part of their table: after padding entries, or from its start in every pass.",
        evidence: "The rows recomputed from the model file's tables with shifted ids or positions; a shift is fitted.",
        confirm: "Look up token 0 at position 0 by hand.",
        fix: "Check the base of the ids (a table without its first row) and the position that is passed in decode steps.",
        reports: &[
            "bytedance/lightseq#144",
            "EleutherAI/lm-evaluation-harness#1465",
            "EleutherAI/lm-evaluation-harness#3333",
        ],
    },
    kinds: &[Kind::Embedding],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    found(scene).unwrap_or_default()
}

fn found(scene: &Scene<'_>) -> Option<Vec<Fit>> {
    let table = scene.matrix_of("token_embd.weight")?;
    let positions = scene.matrix_of("position_embd.weight");
    let tokens = scene.here(Side::Reference, "tokens")?;
    let width = scene.candidate.last_len();
    let row = |table: &crate::recompute::Weight, at: i64| -> Option<Vec<f64>> {
        let at = usize::try_from(at).ok()?;
        let row = table.data.get(at * width..(at + 1) * width)?;
        Some(row.iter().map(|x| f64::from(*x)).collect())
    };
    let last = (table.data.len() / width) as i64 - 1;
    let made = |id: &dyn Fn(usize, i64) -> i64, place: &dyn Fn(i64) -> i64| -> Option<Dense> {
        let mut data = Vec::new();
        for (index, position) in scene.positions().enumerate() {
            let mut sum = row(
                &table,
                id(index, *tokens.data.get(index)? as i64).clamp(0, last),
            )?;
            if let Some(positions) = &positions {
                let learned = row(positions, place(position))?;
                sum.iter_mut()
                    .zip(learned)
                    .for_each(|(sum, learned)| *sum += learned);
            }
            data.extend(sum);
        }
        Dense::new(scene.candidate.shape.clone(), data)
    };
    // Whatever else the model does to its embedding must be the same on the reference's side.
    let plain = made(&|_, id| id, &|at| at)?;
    if scene.reference_residual(&plain) > 1e-3 {
        return None;
    }
    let mut fits = Vec::new();
    let before = |index: usize, id: i64| {
        let position = scene.tokens.start + index as i64 - 1;
        let there =
            (position >= 0).then(|| scene.rows(Side::Reference, "tokens", position..position + 1));
        there.flatten().map_or(id, |there| there.data[0] as i64)
    };
    let claim = "the rows looked up are those of the token before";
    fits.extend(made(&before, &|at| at).map(|made| scene.fit(&made, Basis::Inputs, claim)));
    for shift in [-2_i64, -1, 1, 2] {
        let claim = format!("rows of the embedding table are those of id {shift:+}");
        fits.extend(made(&|_, id| id + shift, &|at| at).map(|made| {
            scene
                .fit(&made, Basis::Inputs, claim)
                .fitted("shift of ids", shift as f64, None)
        }));
    }
    if positions.is_some() {
        for shift in [-2_i64, -1, 1, 2, 3, 4] {
            let claim = format!(
                "learned positions are taken from {shift:+} places further down their table"
            );
            let fit = made(&|_, id| id, &|at| at + shift).map(|made| {
                scene.fit(&made, Basis::Inputs, claim).fitted(
                    "shift of positions",
                    shift as f64,
                    None,
                )
            });
            fits.extend(fit);
        }
        let first = scene.tokens.start;
        if first > 0 {
            let claim = "learned positions are counted from 0 in every pass";
            fits.extend(
                made(&|_, id| id, &|at| at - first)
                    .map(|made| scene.fit(&made, Basis::Inputs, claim)),
            );
        }
        if let Some(captured) = scene.captured() {
            let claim = format!(
                "the learned position is {captured} in every pass, that of the first one after the prompt, as where a captured graph keeps it"
            );
            fits.extend(
                made(&|_, id| id, &|_| captured).map(|made| scene.fit(&made, Basis::Inputs, claim)),
            );
        }
        let claim = "learned positions are not added";
        let mut bare = Vec::new();
        for index in 0..scene.candidate.n_rows() {
            bare.extend(row(&table, tokens.data[index] as i64)?);
        }
        fits.extend(
            Dense::new(scene.candidate.shape.clone(), bare)
                .map(|made| scene.fit(&made, Basis::Inputs, claim)),
        );
    }
    Some(fits)
}
