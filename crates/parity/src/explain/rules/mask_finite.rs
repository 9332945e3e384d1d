//! P061.

use crate::explain::numbers::{looks_like, minimum, residual, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Masked too weakly, or too late.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P061",
        name: "mask too weak or too late",
        detects: "Hidden scores are lowered by a small number instead of an infinite one, so that hidden tokens keep some probability; \
                  or probabilities are zeroed after the softmax, so that rows no longer sum to one.",
        evidence: "The candidate's probabilities recomputed from its own scores; what hidden scores are lowered by is fitted.",
        confirm: "Sum a row: less than one means masked too late; a hidden place that is not zero means too weakly.",
        fix: "Set hidden scores to −∞ before the softmax, or leave hidden places out of it.",
        reports: &["tracel-ai/cubecl#1070"],
    },
    kinds: &[Kind::Probs, Kind::Context],
    costly: false,
    test,
};

const FAMILIAR: [(f64, &str); 5] = [
    (-10.0, "-10"),
    (-100.0, "-100"),
    (-1.0, "-1"),
    (-5.0, "-5"),
    (-1000.0, "-1000"),
];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let kind = scene.kind();
    let Some(attention) = scene
        .attention()
        .filter(|attention| attention.has_softmax(kind))
    else {
        return Vec::new();
    };
    let lowered = |by: f64| {
        let mut changed = attention.clone();
        changed.hidden = by;
        changed.predict(kind)
    };
    let mut cost = |by: f64| lowered(by).map_or(f64::INFINITY, |made| residual(scene.pairs(&made)));
    let found = minimum(-40.0, -0.5, 80, &mut cost);
    let mut fits = Vec::new();
    if let Some(made) = lowered(found) {
        let claim = format!(
            "hidden scores are lowered by {} instead of infinity",
            short(-found)
        );
        fits.push(scene.fit(&made, Basis::Inputs, claim).fitted(
            "added to hidden scores",
            found,
            looks_like(found, &FAMILIAR),
        ));
    }
    let mut open = attention.clone();
    open.sees = std::rc::Rc::new(|_, _, _| true);
    if kind == Kind::Probs
        && let Some(mut made) = open.predict(kind)
    {
        let [_, heads, kv] = made.shape[..] else {
            return fits;
        };
        for (index, value) in made.data.iter_mut().enumerate() {
            let position = scene.tokens.start + (index / (heads * kv)) as i64;
            if (index % kv) as i64 > position {
                *value = 0.0;
            }
        }
        fits.push(scene.fit(
            &made,
            Basis::Inputs,
            "hidden probabilities are zeroed after the softmax: rows do not sum to one",
        ));
    }
    fits
}
