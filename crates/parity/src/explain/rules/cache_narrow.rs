//! P057.

use crate::explain::numbers::Narrow;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use std::rc::Rc;

/// Cache in a narrow type.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P057",
        name: "cache in a narrow type",
        detects: "Keys and values are rounded to 16 or 8 bits in the cache. In 16 bits that is how most engines run and no mistake, but \
                  both sides should do it; 8 bits without scales lose what lies beyond their range.",
        evidence: "The candidate's scores or context recomputed from its own keys and values, rounded.",
        confirm: "Run both engines with the cache in f32.",
        fix: "Choose the same type on both sides for a comparison (llama.cpp: `--kv-type`); give 8-bit caches scales.",
        reports: &["sgl-project/sgl-flash-attn#49"],
    },
    kinds: &[Kind::Scores, Kind::Probs, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let types = [Narrow::F16, Narrow::Bf16, Narrow::F8];
    let each = types.iter().filter_map(|narrow| {
        let mut changed = attention.clone();
        changed.keys = Rc::new(attention.keys.map(|x| narrow.round(x)));
        changed.values = attention
            .values
            .as_ref()
            .map(|values| Rc::new(values.map(|x| narrow.round(x))));
        let made = changed.predict(scene.kind())?;
        let claim = format!("the cache holds keys and values in {}", narrow.name());
        Some(scene.fit(&made, Basis::Inputs, claim))
    });
    each.collect()
}
