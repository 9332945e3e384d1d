//! P002.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;

/// Rows of another token.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P002",
        name: "rows of another token or step",
        detects: "Rows are those of the token before (or after): a buffer that a replayed graph did not refresh, rows shifted by one, logits \
                  taken from the wrong row.",
        evidence: "The candidate equals what the operation makes, or made, of the other token's input.",
        confirm: "Run the step twice with the same token: the second time is right.",
        fix: "Update the inputs of captured graphs; check the row's index against the token's position.",
        reports: &[
            "ikawrakow/ik_llama.cpp#2136",
            "AI-Hypercomputer/maxtext#2103",
            "EleutherAI/lm-evaluation-harness#1465",
        ],
    },
    kinds: Kind::ALL,
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let mut fits = Vec::new();
    for (shift, sides) in [
        (-1_i64, &[Side::Candidate, Side::Reference][..]),
        // Of the candidate's later rows nobody knows what they are made of.
        (1, &[Side::Reference]),
    ] {
        for side in sides.iter().copied() {
            let Some(made) = shifted(scene, side, shift).filter(tells) else {
                continue;
            };
            // Where the token before that has the same row too, rows are constant, whatever they should be.
            let constant = rows_of(scene, side, &scene.checkpoint, 2 * shift)
                .is_some_and(|before| scene.residual(&before) < 1e-4);
            if constant {
                continue;
            }
            let stale = scene.is_later_pass() && scene.candidate.shape[0] == 1;
            let claim = match (shift, stale) {
                (-1, true) => {
                    "the row is that of the step before: a buffer that was not refreshed".to_owned()
                }
                (-1, false) => "every row is that of the token before".to_owned(),
                _ => "every row is that of the token after".to_owned(),
            };
            let basis = if side == Side::Candidate {
                Basis::Inputs
            } else {
                Basis::Reference
            };
            fits.push(scene.fit(&made, basis, claim));
        }
    }
    if let Some(linear) = scene.linear()
        && let Some(x) = scene
            .input_names()
            .iter()
            .find_map(|name| rows_of(scene, Side::Candidate, name, -1))
        && x.data.len() == linear.x.data.len()
        && let Some(made) = linear.of(&x)
    {
        let claim = if scene.is_later_pass() {
            "the product is that of the step before's input: a buffer that was not refreshed"
        } else {
            "every row is the product of the input of the token before"
        };
        fits.push(scene.fit(&linear.with_bias(&made, 1.0), Basis::Inputs, claim));
    }
    // The same explained by both sides is one explanation: the better fit stands for it.
    fits.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    fits.truncate(2);
    if let [first, second] = &fits[..]
        && first.claim == second.claim
    {
        fits.truncate(1);
    }
    fits
}

/// Zeros and NaNs look the same in every row: equality of such rows says nothing of where they are from.
fn tells(made: &Dense) -> bool {
    let rows = made.data.chunks(made.row_len().max(1));
    rows.into_iter()
        .all(|row| row.iter().all(|x| x.is_finite()) && row.iter().any(|x| *x != 0.0))
}

/// The scene's own checkpoint, other rows.
fn shifted(scene: &Scene<'_>, side: Side, shift: i64) -> Option<Dense> {
    let made = rows_of(scene, side, &scene.checkpoint, shift)?;
    (made.shape == scene.candidate.shape
        && scene.kind() != Kind::Scores
        && scene.kind() != Kind::Probs)
        .then_some(made)
}

/// Rows that many places away; at the end of what there is, the scene's own.
fn rows_of(scene: &Scene<'_>, side: Side, name: &str, shift: i64) -> Option<Dense> {
    let mut shape = None;
    let mut data = Vec::new();
    let own = scene.rows(side, name, scene.tokens.clone());
    for (row, position) in scene.positions().enumerate() {
        let place = position + shift;
        let there = (place >= 0)
            .then(|| scene.rows(side, name, place..place + 1))
            .flatten();
        match there {
            Some(there) => {
                shape.get_or_insert_with(|| there.shape.clone());
                data.extend_from_slice(&there.data);
            }
            None => {
                let own = own.as_ref()?;
                data.extend_from_slice(own.row(row));
                shape.get_or_insert_with(|| own.shape.clone());
            }
        }
    }
    let mut shape = shape?;
    shape[0] = scene.candidate.shape[0];
    Dense::new(shape, data)
}
