//! P064.

use crate::explain::numbers::Narrow;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Exponentials that overflow.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P064",
        name: "softmax in a narrow type or without its maximum",
        detects: "The exponential is taken in 16 bits, with or without subtracting the largest score first: in f16 it is infinite from a \
                  score of 11.1 on, and the row becomes NaN or zero.",
        evidence: "The candidate's probabilities recomputed from its own scores with that arithmetic, non-finite values included.",
        confirm: "The first bad row is the first with a score above 11.09.",
        fix: "Subtract the row's maximum and take the exponential in f32.",
        reports: &["ggml-org/llama.cpp#8412", "tracel-ai/cubecl#1070"],
    },
    kinds: &[Kind::Probs],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(scores) = scene
        .attention()
        .and_then(|attention| attention.scores.clone())
    else {
        return Vec::new();
    };
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let [_, heads, kv] = scores.shape[..] else {
        return Vec::new();
    };
    let mut fits = Vec::new();
    for narrow in [Narrow::F16, Narrow::Bf16] {
        for with_maximum in [false, true] {
            let mut made = scores.as_ref().clone();
            for (index, row) in made.data.chunks_mut(kv).enumerate() {
                let position = scene.tokens.start + (index / heads) as i64;
                let seen = |column: usize| (attention.sees)(index / heads, position, column as i64);
                let top = (0..kv)
                    .filter(|column| seen(*column))
                    .map(|column| row[column])
                    .fold(f64::NEG_INFINITY, f64::max);
                for (column, score) in row.iter_mut().enumerate() {
                    let lowered = if with_maximum { *score - top } else { *score };
                    *score = if seen(column) {
                        narrow.round(narrow.round(lowered).exp())
                    } else {
                        0.0
                    };
                }
                let total: f64 = row.iter().sum();
                row.iter_mut().for_each(|power| *power /= total);
            }
            let how = if with_maximum {
                ""
            } else {
                " and without subtracting the maximum"
            };
            let claim = format!("the softmax takes exponentials in {}{how}", narrow.name());
            let tolerance = if narrow == Narrow::F16 { 1.5e-4 } else { 1e-3 };
            fits.push(scene.fit(&made, Basis::Inputs, claim).tolerance(tolerance));
        }
    }
    fits
}
