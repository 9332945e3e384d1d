//! P026.

use crate::explain::numbers::{factor, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Bias missing or repeated.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P026",
        name: "bias missing, repeated or added to some rows only",
        detects: "The projection's bias is not added, is added once by every rank of a parallel run, or reaches the first row of a batch only.",
        evidence: "With the model file, how many times the bias is in the candidate's output, fitted to its own product; without it, that \
                   candidate and reference differ by one and the same vector in every row.",
        confirm: "A row of zeros must come out as the bias.",
        fix: "Load `*.bias` where the file has it (Qwen2: Q, K and V); in a parallel run add it after the reduction, or on one rank.",
        reports: &[
            "sbryngelson/ANEForge#253",
            "vllm-project/vllm#46835",
            "Wenyueh/MinivLLM#80",
            "ikawrakow/ik_llama.cpp#933",
            "GeeeekExplorer/nano-vllm#99",
        ],
    },
    kinds: &[Kind::Linear],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    match scene.linear() {
        Some(linear) => {
            let Some(bias) = &linear.bias else {
                return Vec::new();
            };
            let rows = Dense {
                shape: linear.product.shape.clone(),
                data: bias
                    .iter()
                    .copied()
                    .cycle()
                    .take(linear.product.data.len())
                    .collect(),
            };
            let rest = scene
                .pairs(&linear.product)
                .map(|(found, product)| found - product);
            let pairs: Vec<(f64, f64)> =
                rest.zip(scene.pairs(&rows).map(|(_, bias)| bias)).collect();
            let Some(found) = factor(pairs.into_iter()) else {
                return Vec::new();
            };
            let times = if (found - found.round()).abs() < 1e-3 {
                found.round()
            } else {
                found
            };
            let made = linear.with_bias(&linear.product, times);
            let claim = if times == 0.0 {
                "the bias is not added".to_owned()
            } else {
                format!("the bias is added {} times", short(times))
            };
            let fit = scene.fit(&made, Basis::Inputs, claim);
            vec![if times == 0.0 {
                fit.named("times", times, None)
            } else {
                fit.fitted("times", times, None)
            }]
        }
        None => by_rows(scene).into_iter().collect(),
    }
}

/// The same vector lies between both sides in every row.
fn by_rows(scene: &Scene<'_>) -> Option<Fit> {
    let rows = scene.affected();
    if rows.len() < 3 || scene.candidate.row_len() < 2 {
        return None;
    }
    // A mean of NaN would explain rows of NaN.
    let finite = |row: &usize| scene.candidate.row(*row).iter().all(|x| x.is_finite());
    if !rows.iter().all(finite) {
        return None;
    }
    let width = scene.candidate.row_len();
    let mut mean = vec![0.0; width];
    for row in rows {
        let lanes = scene
            .candidate
            .row(*row)
            .iter()
            .zip(scene.reference.row(*row));
        mean.iter_mut()
            .zip(lanes)
            .for_each(|(mean, (a, b))| *mean += (a - b) / rows.len() as f64);
    }
    let made = Dense {
        shape: scene.reference.shape.clone(),
        data: scene
            .reference
            .data
            .iter()
            .zip(mean.iter().cycle())
            .map(|(x, mean)| x + mean)
            .collect(),
    };
    let claim = "every row differs by one and the same vector: a bias that is missing, or added more than once";
    Some(scene.fit(&made, Basis::Reference, claim).free(width))
}
