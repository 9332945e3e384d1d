//! P015.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// The norm is not there.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P015",
        name: "norm skipped",
        detects: "The norm's output is its input: the norm is not computed at all, or computed into a buffer that nobody reads.",
        evidence: "The candidate's output against its own input.",
        confirm: "Both rows have the same mean square.",
        fix: "Compute it; models with norms of queries and keys (Qwen3, Gemma 3) need them in every block.",
        reports: &["vllm-project/vllm-metal#659"],
    },
    kinds: &[Kind::Norm],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(x) = scene.input(Side::Candidate) else {
        return Vec::new();
    };
    vec![scene.fit(
        &x,
        Basis::Inputs,
        "the norm is skipped: its output is its input",
    )]
}
