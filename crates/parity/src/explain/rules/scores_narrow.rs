//! P058.

use crate::explain::numbers::Narrow;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Products in a narrow type.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P058",
        name: "attention products in a narrow type",
        detects: "Products of queries and keys are kept in 16 bits before they are scaled: f16 is infinite from 65520 on, and loses \
                  digits long before.",
        evidence: "The candidate's scores recomputed from its own queries and keys with products, or queries and keys, rounded.",
        confirm: "Scores divided by the scale are all 16-bit numbers.",
        fix: "Accumulate in f32, or scale queries before the product.",
        reports: &["ggml-org/llama.cpp#8412"],
    },
    kinds: &[Kind::Scores],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let products = attention.products();
    let scale = attention.scale;
    let mut fits = Vec::new();
    for narrow in [Narrow::F16, Narrow::Bf16] {
        let name = narrow.name();
        let found = &scene.candidate;
        let before = products.zip(found, |x, found| {
            narrow.snapped(x, single(found / scale)) * scale
        });
        let after = products.zip(found, |x, found| narrow.snapped(x * scale, found));
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let claim =
            format!("products of queries and keys are rounded to {name} before they are scaled");
        fits.push(scene.fit(&before, Basis::Inputs, claim));
        // The scale is often a power of two, and then both say the same.
        if scene.residual(&after) < 0.9 * scene.residual(&before) {
            let claim = format!("scaled scores are rounded to {name}");
            fits.push(scene.fit(&after, Basis::Inputs, claim));
        }
        let mut changed = attention.clone();
        changed.queries = std::rc::Rc::new(attention.queries.map(|x| narrow.round(x)));
        changed.keys = std::rc::Rc::new(attention.keys.map(|x| narrow.round(x)));
        fits.push(scene.fit(
            &changed.scaled(),
            Basis::Inputs,
            format!("queries and keys are rounded to {name} for their product"),
        ));
    }
    fits
}

/// Rid of what the engine's own multiplication with the scale rounded.
fn single(x: f64) -> f64 {
    let near = Narrow::F16.round(x);
    if (near / x - 1.0).abs() < 1e-6 {
        near
    } else {
        x
    }
}
