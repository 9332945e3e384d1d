//! P062.

use crate::explain::numbers::{looks_like, minimum, residual, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// A sink in the denominator.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P062",
        name: "attention sink added or missing",
        detects: "The softmax has a further term in its denominator (a sink logit, softmax-off-by-one, keys of zeros past the end of \
                  the cache) where the model has none, or lacks the one that the model has.",
        evidence: "The logit fitted to the candidate's probabilities of its own scores. Several rows must agree on it.",
        confirm: "Rows of probabilities sum to less than one.",
        fix: "Give the sink to the kernel only where the model has one; end the softmax where the sequence ends.",
        reports: &[
            "vllm-project/vllm-metal#550",
            "pegainfer-project/pegainfer#350",
        ],
    },
    kinds: &[Kind::Probs, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let kind = scene.kind();
    let Some(attention) = scene
        .attention()
        .filter(|attention| attention.has_softmax(kind))
    else {
        return Vec::new();
    };
    let with = |sink: f64| -> Option<Dense> {
        let mut changed = attention.clone();
        changed.sink = Some(sink);
        changed.predict(kind)
    };
    let mut cost =
        |sink: f64| with(sink).map_or(f64::INFINITY, |made| residual(scene.pairs(&made)));
    let found = minimum(-15.0, 15.0, 121, &mut cost);
    let sink = if found.abs() < 1e-3 { 0.0 } else { found };
    let Some(made) = with(sink) else {
        return Vec::new();
    };
    let claim = format!(
        "the softmax has a further logit of {} in its denominator",
        short(sink)
    );
    // Keys of zeros have scores of zero: n of them add n to the denominator.
    let mut familiar = vec![(1.0, "1".to_owned())];
    familiar.extend((2..=64).map(|keys| {
        (
            f64::from(keys).ln(),
            format!("ln {keys}: {keys} keys of zeros"),
        )
    }));
    let mut fits = vec![scene.fit(&made, Basis::Inputs, claim).fitted(
        "sink",
        sink,
        looks_like(sink, &familiar),
    )];
    // The reference has a sink for each head and the candidate none: each row of the reference is the candidate's, smaller.
    if scene.formula_residual().is_some_and(|found| found > 1e-3) && scene.expected().is_some() {
        let plain = attention.predict(kind);
        fits.extend(plain.map(|made| {
            scene.fit(
                &made,
                Basis::Inputs,
                "the softmax has no sink, where the reference has one",
            )
        }));
    }
    fits
}
