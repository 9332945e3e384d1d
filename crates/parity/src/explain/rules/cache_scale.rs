//! P056.

use crate::explain::numbers::{factor, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// A scale of the cache forgotten.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P056",
        name: "scale of the cache not applied",
        detects: "Keys and values are divided by a scale when they are written to the cache (8-bit caches do that) and not \
                  multiplied with it when they are read: scores and context are off by factors.",
        evidence: "The factor of the scores against the candidate's own queries and keys, and that of the context against its own \
                   probabilities and values: two independent factors that point to the cache.",
        confirm: "At position 0 the context is the value itself: it is off by the scale exactly.",
        fix: "Multiply with the scales on reading, in the prompt's path and in the decode path.",
        reports: &["flashinfer-ai/flashinfer#4979", "vllm-project/vllm#55670"],
    },
    kinds: &[Kind::Scores, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(expected) = scene.expected() else {
        return Vec::new();
    };
    let Some(found) = factor(scene.pairs(&expected)) else {
        return Vec::new();
    };
    let made = expected.map(|x| x * found);
    match scene.kind() {
        Kind::Scores => {
            let Some(values) = scene.values_scaled() else {
                return Vec::new();
            };
            let claim = format!(
                "keys are {} and values {} times what was written to the cache: its scale is not applied on reading",
                short(found),
                short(values)
            );
            vec![
                scene
                    .fit(&made, Basis::Inputs, claim)
                    .fitted("factor of keys", found, None)
                    .evidence("factor of values", values),
            ]
        }
        _ if scene
            .attention()
            .is_some_and(|attention| attention.probs.is_some()) =>
        {
            let claim = format!(
                "values are {} times what was written to the cache: its scale is not applied on reading",
                short(found)
            );
            vec![
                scene
                    .fit(&made, Basis::Inputs, claim)
                    .fitted("factor of values", found, None),
            ]
        }
        _ => Vec::new(),
    }
}
