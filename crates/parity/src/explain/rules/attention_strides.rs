//! P053.

use crate::explain::formula::attention::Attention;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;
use std::rc::Rc;

/// Read in another order of axes.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P053",
        name: "heads and tokens exchanged in memory",
        detects: "Queries, the cache, or the context are read as [heads, tokens, lanes] though they are [tokens, heads, lanes], \
                  without moving the elements: a missing transpose, or strides that a kernel ignores.",
        evidence: "The candidate's scores or context recomputed from its own inputs in the other order.",
        confirm: "With one token, or one head, nothing is wrong.",
        fix: "Make the tensor contiguous before the kernel, or hand its strides over.",
        reports: &["huggingface/candle#3703"],
    },
    kinds: &[Kind::Scores, Kind::Probs, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(attention) = scene.attention() else {
        return Vec::new();
    };
    let kind = scene.kind();
    let mut fits = Vec::new();
    let mut with = |claim: &str, change: &dyn Fn(&mut Attention)| {
        let mut changed = attention.clone();
        change(&mut changed);
        if let Some(made) = changed.predict(kind) {
            fits.push(scene.fit(&made, Basis::Inputs, claim));
        }
    };
    if attention.has_products(kind) {
        with(
            "queries are read as [heads, tokens, lanes] though they lie as [tokens, heads, lanes]",
            &|a| {
                a.queries = Rc::new(reread(&a.queries));
            },
        );
    }
    with(
        "the cache is read as [heads, tokens, lanes] though it lies as [tokens, heads, lanes]",
        &|a| {
            a.keys = Rc::new(reread(&a.keys));
            a.values = a.values.as_ref().map(|values| Rc::new(reread(values)));
        },
    );
    if kind == Kind::Context
        && let Some(expected) = scene.expected()
    {
        let claim = "the context is handed on as [heads, tokens, lanes] where [tokens, heads, lanes] is expected";
        fits.push(scene.fit(&moved(&expected), Basis::Inputs, claim));
    }
    fits
}

/// The elements of `[a, b, lanes]` taken for `[b, a, lanes]`, as `[a, b, lanes]` by their indices.
fn reread(x: &Dense) -> Dense {
    let (a, b, lanes) = (x.shape[0], x.shape[1], x.shape[2]);
    let mut data = Vec::with_capacity(x.data.len());
    for i in 0..a {
        for j in 0..b {
            data.extend_from_slice(&x.data[(j * a + i) * lanes..][..lanes]);
        }
    }
    Dense {
        shape: x.shape.clone(),
        data,
    }
}

/// The elements moved to `[b, a, lanes]` and then taken for `[a, b, lanes]`.
fn moved(x: &Dense) -> Dense {
    let (a, b, lanes) = (x.shape[0], x.shape[1], x.shape[2]);
    let mut data = Vec::with_capacity(x.data.len());
    for j in 0..b {
        for i in 0..a {
            data.extend_from_slice(&x.data[(i * b + j) * lanes..][..lanes]);
        }
    }
    Dense {
        shape: x.shape.clone(),
        data,
    }
}
