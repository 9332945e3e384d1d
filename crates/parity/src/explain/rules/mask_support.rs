//! P060.

use crate::explain::formula::attention::Attention;
use crate::explain::numbers::list;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use std::rc::Rc;

/// Other places visible.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P060",
        name: "the mask shows other positions",
        detects: "Tokens see others than those up to themselves: some after them (no mask in the prompt, or one that is off by one), \
                  fewer before them (a window, padding that hides real tokens, rows of the mask counted from 0 in every pass, the length \
                  with which a graph was captured).",
        evidence: "The candidate's probabilities (or the context of fused attention) recomputed from its own scores with that mask.",
        confirm: "Print which probabilities of one row are exactly zero.",
        fix: "A token at position p sees 0 to p; with a window of w, p − w + 1 to p, in the layers that have one.",
        reports: &[
            "huggingface/transformers#39408",
            "huggingface/candle#3698",
            "huggingface/transformers#31775",
            "ml-explore/mlx-lm#1906",
        ],
    },
    kinds: &[Kind::Probs, Kind::Context],
    costly: false,
    test,
};

/// Widths of windows and distances that are tried.
const TRIED: i64 = 4096;

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(attention) = scene
        .attention()
        .filter(|attention| attention.has_softmax(scene.kind()))
    else {
        return Vec::new();
    };
    let kind = scene.kind();
    let first = scene.tokens.start;
    let last = scene.tokens.end - 1;
    let mut fits: Vec<Fit> = Vec::new();
    let mut with =
        |claim: String, fitted: Option<(&str, f64)>, sees: Rc<dyn Fn(usize, i64, i64) -> bool>| {
            let mut changed: Attention = attention.clone();
            changed.sees = sees;
            if let Some(made) = changed.predict(kind) {
                let fit = scene.fit(&made, Basis::Inputs, claim);
                fits.push(match fitted {
                    Some((name, value)) => fit.fitted(name, value, None),
                    None => fit,
                });
            }
        };
    if let Some(hides) = &attention.hides {
        with(
            format!(
                "tokens see all positions up to their own, of which the reference hides {hides}"
            ),
            None,
            Rc::new(|_, at, column| column <= at),
        );
    }
    if last > first {
        with(
            "there is no causal mask: every token of the pass sees all others".to_owned(),
            None,
            Rc::new(|_, _, _| true),
        );
        for offset in [1, 2, 3] {
            let claim = format!(
                "the causal mask is off by {offset}: each token sees {offset} after itself"
            );
            with(
                claim,
                Some(("offset", offset as f64)),
                Rc::new(move |_, at, column| column <= at + offset),
            );
        }
    }
    for offset in [1, 2] {
        let claim = format!(
            "the causal mask is off by {offset}: each token sees only those up to {offset} before itself"
        );
        let sees = move |_: usize, at: i64, column: i64| column == 0 || column <= at - offset;
        with(claim, Some(("offset", -(offset as f64))), Rc::new(sees));
    }
    if first > 0 {
        let claim = "the mask counts its rows from 0 in every pass: a decoded token sees the first ones only";
        with(
            claim.to_owned(),
            None,
            Rc::new(move |_, at, column| column <= at - first),
        );
    }
    if let Some(captured) = scene.captured() {
        let claim = format!(
            "every pass sees positions up to {captured}, as the first one after the prompt did: the length is one that a captured graph keeps"
        );
        with(claim, None, Rc::new(move |_, _, column| column <= captured));
    }
    for hidden in 1..=last.min(4) {
        let what = if hidden == 1 {
            "position 0 is".to_owned()
        } else {
            format!("positions {} are", list(&(0..hidden).collect::<Vec<_>>()))
        };
        let claim = format!("{what} hidden from all later tokens, as if it were padding");
        let sees =
            move |_: usize, at: i64, column: i64| column <= at && (column >= hidden || at < hidden);
        with(claim, Some(("hidden", hidden as f64)), Rc::new(sees));
    }
    for width in 1..=last.min(TRIED) {
        // A window as long as the sequence hides nothing; long ones are tried where they can still matter.
        if width > 64
            && !(width as u64).is_power_of_two()
            && !((width - 1) as u64).is_power_of_two()
            && width < last - 1
        {
            continue;
        }
        let claim = format!("tokens see a window of the last {width} positions only");
        with(
            claim,
            Some(("window", width as f64)),
            Rc::new(move |_, at, column| column <= at && at - column < width),
        );
    }
    // Only what explains is worth showing among so many.
    fits.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    fits.truncate(3);
    fits.extend(any_support(scene, attention));
    fits
}

/// Exactly the places where the candidate's probabilities are not zero.
fn any_support(scene: &Scene<'_>, attention: &Attention) -> Option<Fit> {
    if scene.kind() != Kind::Probs {
        return None;
    }
    let [tokens, heads, kv] = scene.candidate.shape[..] else {
        return None;
    };
    let seen: Vec<bool> = (0..tokens * kv)
        .map(|index| {
            (0..heads).any(|head| {
                scene.candidate.data[(index / kv * heads + head) * kv + index % kv] != 0.0
            })
        })
        .collect();
    let pattern = seen.clone();
    let mut changed = attention.clone();
    changed.sees = Rc::new(move |row, _, column| pattern[row * kv + column as usize]);
    let made = changed.predict(Kind::Probs)?;
    let row = *scene.affected().first()?;
    let visible: Vec<i64> = (0..kv as i64)
        .filter(|column| seen[row * kv + *column as usize])
        .collect();
    let claim = format!(
        "the token at position {} sees positions {}",
        scene.tokens.start + row as i64,
        list(&visible)
    );
    let differs = (0..tokens * kv)
        .filter(|index| {
            seen[*index] != ((index % kv) as i64 <= scene.tokens.start + (index / kv) as i64)
        })
        .count();
    Some(scene.fit(&made, Basis::Inputs, claim).free(differs.max(2)))
}
