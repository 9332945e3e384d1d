//! What the report says of logits and of differences.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::{Line, compare_lines, noise, record, tokens};

/// Tokens, a layer's output that the candidate gets wrong from position 1 on, and logits of three positions.
fn run(output: impl Fn(usize, f32) -> f32, logits: [[f32; 4]; 3]) -> Vec<Line> {
    let mut values = noise(5, 24);
    for (index, value) in values.iter_mut().enumerate() {
        *value = output(index, *value);
    }
    vec![
        tokens(0, &[7, 8, 9]),
        record("layer_0_output", 0, &values)
            .shape(&[3, 8])
            .n_tokens(3),
        record("logits", 0, logits.as_flattened())
            .shape(&[3, 4])
            .n_tokens(3),
    ]
}

const LOGITS: [[f32; 4]; 3] = [
    [1.0, 3.0, 2.0, 0.0],
    [0.0, 1.0, 2.5, 2.0],
    [4.0, 0.0, 1.0, 2.0],
];

#[test]
fn the_first_token_that_would_change_and_its_origin() {
    let reference = run(|_, x| x, LOGITS);
    let wrong = [LOGITS[0], [0.0, 1.0, 2.0, 2.75], [0.0, 4.0, 1.0, 2.0]];
    let candidate = run(|index, x| if index >= 8 { x + 0.5 } else { x }, wrong);
    let report = compare_lines(&reference, &candidate);
    let logits = report.logits.unwrap();
    assert_eq!((logits.rows, logits.k), (3, 10));
    assert!((logits.top1_agreement.0 - 1.0 / 3.0).abs() < 1e-15);
    assert_eq!(
        logits.topk_agreement.0, 1.0,
        "four tokens are all among the first ten"
    );
    assert_eq!(logits.min_margin.unwrap().0, 0.5);
    // Independently: probabilities first, then Σ p ln(p / q).
    let kl = |a: &[f32], b: &[f32]| {
        let softmax = |row: &[f32]| {
            let exps: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.into_iter().map(|e| e / sum).collect::<Vec<f64>>()
        };
        let terms = softmax(a).into_iter().zip(softmax(b));
        terms.map(|(p, q)| p * (p / q).ln()).sum::<f64>()
    };
    let expected = [1, 2].map(|row| kl(&LOGITS[row], &wrong[row]));
    assert!((logits.mean_kl.0 - (expected[0] + expected[1]) / 3.0).abs() < 1e-14);
    assert!((logits.max_kl.0 - expected[1]).abs() < 1e-14);
    assert_eq!(logits.max_kl_token_idx, 2);
    let change = logits.first_change.unwrap();
    assert_eq!((change.token_idx, change.changed_token_idx), (1, 2));
    assert_eq!((change.reference_token, change.candidate_token), (2, 3));
    assert_eq!(
        (change.reference_margin.0, change.candidate_margin.0),
        (0.5, 0.75)
    );
    assert!((change.kl.0 - expected[0]).abs() < 1e-14);
    let cause = change.caused_by.unwrap();
    assert_eq!(
        (cause.checkpoint.as_str(), cause.token_idx),
        ("layer_0_output", 0)
    );
}

#[test]
fn equal_logits_change_nothing() {
    let report = compare_lines(&run(|_, x| x, LOGITS), &run(|_, x| x, LOGITS));
    let logits = report.logits.unwrap();
    assert_eq!((logits.mean_kl.0, logits.top1_agreement.0), (0.0, 1.0));
    assert_eq!(logits.first_change, None);
}

#[test]
fn first_values_are_no_distribution() {
    let line = || vec![record("logits", 0, &[1.0, 2.0]).shape(&[1000])];
    assert_eq!(compare_lines(&line(), &line()).logits, None);
}

#[test]
fn the_report_shows_how_large_the_differences_are() {
    let reference = run(|_, x| x, LOGITS);
    let candidate = run(
        |index, x| if index == 13 { x - 3.0 * x.signum() } else { x },
        LOGITS,
    );
    let report = compare_lines(&reference, &candidate);
    let pair = &report.worst[0];
    let histogram: Vec<(f64, u64)> = pair
        .diff_histogram
        .iter()
        .map(|bin| (bin.from.0, bin.count))
        .collect();
    assert_eq!(histogram, [(0.0, 23), (2.0, 1)]);
    let figures = pair.figures.unwrap();
    assert_eq!((figures.different, figures.sign_disagreements), (1, 1));
}

#[test]
fn steps_are_counted_in_the_candidates_type() {
    // One bf16 step at 1 is 2⁻⁷, which is 2¹⁶ steps of f32.
    let line =
        |value: f32, dtype: &str| vec![record("x", 0, &[value, 1.0]).with("dtype", json!(dtype))];
    let reference = line(1.0, "f32");
    let max_ulp = |dtype: &str| {
        let report = compare_lines(&reference, &line(1.0 + 1.0 / 128.0, dtype));
        report.worst[0].figures.unwrap().max_ulp
    };
    assert_eq!(max_ulp("f32"), Some(1 << 16));
    assert_eq!(max_ulp("bf16"), Some(1));
    assert_eq!(max_ulp("f16"), Some(8));
}
