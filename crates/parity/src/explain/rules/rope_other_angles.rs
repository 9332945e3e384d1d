//! P041.

use crate::explain::numbers::short;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Whatever angles.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P041",
        name: "rope with a frequency table of its own",
        detects: "The candidate turns each pair by an angle proportional to the position, but with frequencies that no known \
                  scheme has: a table of factors (LongRoPE, YaRN) applied, missing or mistaken for another.",
        evidence: "One frequency for each pair, fitted at one position and checked at the others.",
        confirm: "Print the engine's table beside the one that the fit shows.",
        fix: "Choose the factor table by the length of the sequence, not by the size of the cache.",
        reports: &["ggml-org/llama.cpp#24823"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let turning = scene.rope().filter(|rope| !rope.is_none());
    let (Some(rope), Some(x)) = (turning, scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
    // One row is used up by the fit; the others prove it.
    let rows: Vec<usize> = scene
        .affected()
        .iter()
        .copied()
        .filter(|row| positions[*row] > 0.0)
        .collect();
    let [first, _, ..] = rows[..] else {
        return Vec::new();
    };
    let phases = rope.phases(&x, &scene.candidate, first);
    let steps: Vec<f64> = phases
        .iter()
        .map(|(angle, _)| angle / positions[first])
        .collect();
    let made = rope.turned(&x, &|row, _, pair| (steps[pair] * positions[row]).sin_cos());
    let usual = rope.angles(1.0);
    let ratio = |pair: usize| steps[pair] / usual[pair];
    let claim = format!(
        "rope turns with other frequencies: {} times the right one in the first pair, {} times in the last",
        short(ratio(0)),
        short(ratio(steps.len() - 1))
    );
    vec![scene.fit(&made, Basis::Inputs, claim).free(steps.len())]
}
