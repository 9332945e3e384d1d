//! P054.

use crate::align::Stage;
use crate::explain::formula::attention::Attention;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use std::rc::Rc;

/// Something else than keys where keys belong.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P054",
        name: "attention reads the wrong tensor",
        detects: "Where keys belong there are values, or keys before their rotation or norm; where values belong there are keys; or \
                  queries go in before their rotation.",
        evidence: "The candidate's scores or context recomputed with the other tensor of its own trace.",
        confirm: "Print the first key that attention reads beside the key that was logged.",
        fix: "Write the rotated keys and the values to their own caches.",
        reports: &["state-spaces/mamba#1027"],
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
    let mut with = |claim: &str, change: &dyn Fn(&mut Attention) -> Option<()>| {
        let mut changed = attention.clone();
        if change(&mut changed).is_some()
            && let Some(made) = changed.predict(kind)
        {
            fits.push(scene.fit(&made, Basis::Inputs, claim));
        }
    };
    let history = |stage: Stage, like: &crate::tensor::Dense| {
        scene
            .history(Side::Candidate, stage)
            .filter(|found| found.shape == like.shape)
    };
    with(
        "values are read where keys belong, and keys where values belong",
        &|a| {
            let values = history(Stage::V, &a.keys)?;
            a.values = Some(std::mem::replace(&mut a.keys, values));
            Some(())
        },
    );
    for (stage, claim) in [
        (Stage::KNorm, "keys are read before their rotation"),
        (
            Stage::K,
            "keys are read as they were projected, without norm and rotation",
        ),
    ] {
        with(claim, &|a| {
            a.keys = history(stage, &a.keys).filter(|found| found.data != a.keys.data)?;
            Some(())
        });
    }
    for (stage, claim) in [
        (Stage::QNorm, "queries are read before their rotation"),
        (
            Stage::Q,
            "queries are read as they were projected, without norm and rotation",
        ),
    ] {
        with(claim, &|a| {
            let queries = scene.stage(Side::Candidate, stage)?;
            a.queries = Rc::clone(&queries);
            (queries.shape == attention.queries.shape && queries.data != attention.queries.data)
                .then_some(())
        });
    }
    fits
}
