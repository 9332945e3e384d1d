//! P103.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Weights of one expert on another.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P103",
        name: "weights applied to the wrong experts",
        detects: "The right weights are multiplied with the outputs of other experts of the token, with those of another token, with none at all, or \
                  some experts are left out of the sum.",
        evidence: "The candidate's sum recomputed from its own outputs with its own weights in another order.",
        confirm: "Route one token to one expert: the sum is that expert's output times its weight.",
        fix: "Sort ids and weights together; index outputs by token and slot, not by expert.",
        reports: &["ggml-org/llama.cpp#17032"],
    },
    kinds: &[Kind::ExpertWeights, Kind::ExpertSum],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let weights = match scene.kind() {
        Kind::ExpertWeights => scene.gathered().and_then(|gathered| gathered.expected()),
        _ => scene
            .mixture()
            .map(|mixture| mixture.weights.as_ref().clone()),
    };
    let Some(weights) = weights else {
        return Vec::new();
    };
    ways(&weights, scene.tokens.start == 0)
        .into_iter()
        .filter_map(|(made, free, claim)| {
            let made = match scene.kind() {
                Kind::ExpertWeights => made,
                _ => {
                    let mixture = scene.mixture()?;
                    mixture.with(&made, mixture.form)?
                }
            };
            Some(scene.fit(&made, Basis::Inputs, claim).free(free))
        })
        .collect()
}

/// Other weights, how many numbers were chosen for them, and what that claims.
fn ways(weights: &Dense, first_pass: bool) -> Vec<(Dense, usize, String)> {
    let (tokens, chosen) = (weights.n_rows(), weights.row_len());
    let made = |of: &dyn Fn(usize, usize) -> f64| Dense {
        shape: weights.shape.clone(),
        data: (0..tokens * chosen)
            .map(|at| of(at / chosen, at % chosen))
            .collect(),
    };
    let mut ways = vec![
        (
            made(&|row, slot| weights.row(row)[chosen - 1 - slot]),
            0,
            "weights belong to the chosen experts in reverse order".to_owned(),
        ),
        (
            made(&|_, _| 1.0),
            0,
            "experts are summed without weights".to_owned(),
        ),
        (
            made(&|_, _| 1.0 / chosen as f64),
            0,
            "experts are averaged instead of weighted".to_owned(),
        ),
    ];
    if tokens > 1 && first_pass {
        ways.push((
            made(&|_, slot| weights.row(0)[slot]),
            0,
            "all rows have the weights of the first".to_owned(),
        ));
        let turned = |row: usize, slot: usize| {
            let at = row * chosen + slot;
            weights.data[at % tokens * chosen + at / tokens]
        };
        ways.push((
            made(&turned),
            0,
            "weights are read as [experts, tokens] where they are [tokens, experts]".to_owned(),
        ));
    }
    for shift in 1..chosen {
        ways.push((
            made(&|row, slot| weights.row(row)[(slot + shift) % chosen]),
            1,
            format!("weights are {shift} places off among a token's experts"),
        ));
        ways.push((
            made(&|row, slot| {
                if slot < shift {
                    weights.row(row)[slot]
                } else {
                    0.0
                }
            }),
            1,
            format!("only the first {shift} of {chosen} chosen experts take part"),
        ));
    }
    ways
}
