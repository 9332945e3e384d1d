//! The same numbers in other rows, orders and shapes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use parity::report::v1::Report;
use serde_json::json;
use support::{Line, codes, compare_lines, noise, record};

/// A tensor, row-major, by an index function: how `numpy` would build it, without strides.
fn build(dims: [usize; 3], at: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
    let mut out = Vec::new();
    for i in 0..dims[0] {
        for j in 0..dims[1] {
            for k in 0..dims[2] {
                out.push(at(i, j, k));
            }
        }
    }
    out
}

const TOKENS: usize = 5;
const HEADS: usize = 3;
const DIM: usize = 8;

/// Element `k` of head `j` of token `i`.
fn element(i: usize, j: usize, k: usize) -> f32 {
    noise((1 + i * 100 + j * 10 + k) as u64, 3)[2]
}

fn batch(name: &str, values: &[f32], dims: &[usize]) -> Line {
    record(name, 0, values).shape(dims).n_tokens(TOKENS)
}

fn undone(report: &Report) -> Vec<&str> {
    report
        .alignment
        .undone
        .iter()
        .map(|undone| undone.name.as_str())
        .collect()
}

fn matches(reference: &Line, candidate: &Line, expected: &[&str]) {
    for (a, b) in [(reference, candidate), (candidate, reference)] {
        let report = compare_lines(std::slice::from_ref(a), std::slice::from_ref(b));
        assert_eq!(
            (report.verdict.as_str(), report.coverage.compared),
            ("match", 1),
            "{:?} {:?}",
            a.0["shape"],
            b.0["shape"]
        );
        assert_eq!(report.coverage.rests_on.all_elements, 1);
        assert_eq!(undone(&report), expected);
    }
}

#[test]
fn heads_and_axes_in_every_order() {
    let plain = build([TOKENS, HEADS, DIM], element);
    let reference = batch("layer_0_v", &plain, &[TOKENS, HEADS, DIM]);
    matches(
        &reference,
        &batch("layer_0_v", &plain, &[TOKENS, HEADS * DIM]),
        &["heads-merged"],
    );
    matches(
        &reference,
        &batch("layer_0_v", &plain, &[1, TOKENS, HEADS, DIM]).with("token_axis", json!(1)),
        &[],
    );
    let heads_first = build([HEADS, TOKENS, DIM], |j, i, k| element(i, j, k));
    let line = batch("layer_0_v", &heads_first, &[HEADS, TOKENS, DIM]);
    matches(
        &reference,
        &line.clone().with("token_axis", json!(1)),
        &["axes-swapped"],
    );
    // Without a word about the axis only one can hold five tokens.
    matches(&reference, &line, &["axes-swapped", "token-axis-found"]);
    let dim_first = build([TOKENS, DIM, HEADS], |i, k, j| element(i, j, k));
    matches(
        &reference,
        &batch("layer_0_v", &dim_first, &[TOKENS, DIM, HEADS]),
        &["axes-swapped"],
    );
    // [features, tokens], really transposed.
    let transposed = build([HEADS, DIM, TOKENS], |j, k, i| element(i, j, k));
    let flat = batch("layer_0_v", &plain, &[TOKENS, HEADS * DIM]);
    matches(
        &flat,
        &batch("layer_0_v", &transposed, &[HEADS * DIM, TOKENS]).with("token_axis", json!(1)),
        &["axes-swapped"],
    );
    // The shape innermost first, the numbers as they were: ggml's `ne`.
    matches(
        &flat,
        &batch("layer_0_v", &plain, &[HEADS * DIM, TOKENS]),
        &["shape-reversed"],
    );
}

#[test]
fn a_shape_that_could_be_either_is_decided_by_numbers_or_not_at_all() {
    let plain = build([TOKENS, HEADS, DIM], element);
    let reference = batch("layer_0_v", &plain, &[TOKENS, HEADS * DIM]);
    let other = noise(77, TOKENS * HEADS * DIM);
    let report = compare_lines(
        &[reference],
        &[batch("layer_0_v", &other, &[HEADS * DIM, TOKENS])],
    );
    assert_eq!((report.exit_code, report.coverage.unusable), (3, 1));
    assert!(
        report.coverage.unusable_list[0].reason.contains("name map"),
        "{:?}",
        report.coverage.unusable_list
    );
}

#[test]
fn a_mistake_is_not_undone() {
    // Two heads swapped is no layout: the shapes are equal.
    let plain = build([TOKENS, HEADS, DIM], element);
    let swapped = build([TOKENS, HEADS, DIM], |i, j, k| element(i, [1, 0, 2][j], k));
    let report = compare_lines(
        &[batch("layer_0_v", &plain, &[TOKENS, HEADS, DIM])],
        &[batch("layer_0_v", &swapped, &[TOKENS, HEADS, DIM])],
    );
    assert_eq!(
        (report.verdict.as_str(), undone(&report).len()),
        ("diverged", 0)
    );
    // Shapes that have nothing to do with each other.
    let report = compare_lines(
        &[batch("layer_0_v", &plain, &[TOKENS, HEADS, DIM])],
        &[batch("layer_0_v", &noise(1, TOKENS * 7), &[TOKENS, 7])],
    );
    assert_eq!((report.exit_code, report.coverage.shape_mismatches), (3, 1));
}

/// Lane `k` of the half-split order is lane 2k or 2(k − DIM/2) + 1 of the interleaved one.
fn half_split(k: usize) -> usize {
    if k < DIM / 2 {
        2 * k
    } else {
        2 * (k - DIM / 2) + 1
    }
}

#[test]
fn lanes_of_converted_llama_weights() {
    let interleaved = build([TOKENS, HEADS, DIM], element);
    let halves = build([TOKENS, HEADS, DIM], |i, j, k| element(i, j, half_split(k)));
    for name in ["layer_0_q", "layer_0_k_rope"] {
        let reference = batch(name, &interleaved, &[TOKENS, HEADS, DIM]);
        matches(
            &reference,
            &batch(name, &halves, &[TOKENS, HEADS, DIM]),
            &["lanes-interleaved"],
        );
        matches(
            &reference,
            &batch(name, &halves, &[TOKENS, HEADS * DIM]),
            &["heads-merged", "lanes-interleaved"],
        );
    }
    // Values have no lanes: there it is a mistake.
    let report = compare_lines(
        &[batch("layer_0_v", &interleaved, &[TOKENS, HEADS, DIM])],
        &[batch("layer_0_v", &halves, &[TOKENS, HEADS, DIM])],
    );
    assert_eq!(report.verdict, "diverged");
    // Q alone is a mistake, too, which scores will show.
    let q = |values: &[f32]| batch("layer_0_q", values, &[TOKENS, HEADS, DIM]);
    let k = |values: &[f32]| batch("layer_0_k", values, &[TOKENS, HEADS, DIM]);
    let report = compare_lines(
        &[q(&interleaved), k(&interleaved)],
        &[q(&halves), k(&interleaved)],
    );
    assert!(codes(&report).contains(&"C015"), "{:?}", codes(&report));
    let report = compare_lines(
        &[q(&interleaved), k(&interleaved)],
        &[q(&halves), k(&halves)],
    );
    assert_eq!(
        (report.verdict.as_str(), codes(&report).contains(&"C015")),
        ("match", false)
    );
}

#[test]
fn batches_against_single_tokens_in_any_order() {
    let names = ["embedding", "layer_0_q", "layer_0_output", "logits"];
    let value = |name: usize, position: usize| noise((1 + name * 50 + position) as u64, 6);
    let prefill: Vec<Line> = (0..names.len())
        .map(|name| {
            let rows: Vec<f32> = (0..TOKENS)
                .flat_map(|position| value(name, position))
                .collect();
            batch(names[name], &rows, &[TOKENS, 6])
        })
        .collect();
    let decode = |position: usize| -> Vec<Line> {
        let one = |(name, text): (usize, &&str)| {
            record(text, position as i64, &value(name, position))
                .shape(&[1, 6])
                .n_tokens(1)
        };
        names.iter().enumerate().map(one).collect()
    };
    let singles: Vec<Line> = (0..TOKENS).flat_map(decode).collect();
    let by_name: Vec<Line> = (0..names.len())
        .flat_map(|name| (0..TOKENS).map(move |position| (name, position)))
        .map(|(name, position)| decode(position)[name].clone())
        .collect();
    for singles in [&singles, &by_name] {
        let tail: Vec<Line> = decode(TOKENS);
        let (a, b) = (
            [prefill.clone(), tail.clone()].concat(),
            [singles.clone(), tail].concat(),
        );
        for (reference, candidate) in [(&a, &b), (&b, &a)] {
            let report = compare_lines(reference, candidate);
            assert_eq!(
                (report.verdict.as_str(), report.coverage.compared),
                ("match", 24)
            );
            assert_eq!(undone(&report), ["batch-rows"]);
            assert_eq!(report.alignment.undone[0].pairs, 20);
            assert_eq!(
                report.coverage.missing_in_candidate.records
                    + report.coverage.missing_in_reference.records,
                0
            );
            assert_eq!(
                (
                    report.alignment.reference.rests,
                    report.alignment.candidate.rests
                ),
                (0, 0)
            );
        }
    }
    // A mistake in one row is found in that row.
    let mut wrong = singles.clone();
    wrong[4 * 3 + 3] = record("logits", 3, &noise(999, 6))
        .shape(&[1, 6])
        .n_tokens(1);
    let report = compare_lines(&prefill, &wrong);
    let first = report.first_divergence.unwrap();
    assert_eq!((first.checkpoint.as_str(), first.token_idx), ("logits", 3));
    assert_eq!(first.pair.reference_values.len(), 6, "values of that row");
    let expected: Vec<f64> = value(3, 3).iter().map(|x| f64::from(*x)).collect();
    assert_eq!(
        first
            .pair
            .reference_values
            .iter()
            .map(|number| number.0)
            .collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn batches_of_other_sizes_and_a_last_block_of_one_row() {
    let rows = |name: u64, positions: std::ops::Range<usize>| -> Vec<f32> {
        positions
            .flat_map(|p| noise(name * 40 + p as u64 + 1, 4))
            .collect()
    };
    let line = |text: &str, name: u64, positions: std::ops::Range<usize>| {
        record(text, positions.start as i64, &rows(name, positions.clone()))
            .shape(&[positions.len(), 4])
            .n_tokens(positions.len())
    };
    let reference = [
        line("embedding", 1, 0..7),
        line("layer_0_output", 2, 0..7),
        line("logits", 3, 0..7),
    ];
    // Micro-batches of three; of the last block only the row that was asked for.
    let candidate = [
        line("embedding", 1, 0..3),
        line("embedding", 1, 3..6),
        line("embedding", 1, 6..7),
        line("layer_0_output", 2, 6..7),
        line("logits", 3, 6..7),
    ];
    let report = compare_lines(&reference, &candidate);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 5)
    );
    assert_eq!(
        (
            report.alignment.reference.rests,
            report.coverage.missing_in_candidate.records
        ),
        (2, 0)
    );
    // Sequences are kept apart.
    let other: Vec<Line> = candidate
        .iter()
        .map(|line| line.clone().with("seq", json!(1)))
        .collect();
    assert_eq!(compare_lines(&reference, &other).coverage.compared, 0);
}

#[test]
fn scores_with_room_for_keys_that_do_not_exist() {
    let (heads, room) = (2, 16);
    let score = |position: usize, head: usize, key: usize| {
        if key <= position {
            noise((1 + position * 64 + head * 16 + key) as u64, 3)[2]
        } else {
            0.0
        }
    };
    let batch_scores = build([TOKENS, heads, TOKENS], score);
    let padded = build([heads, TOKENS, room], |head, position, key| {
        if key < TOKENS {
            score(position, head, key)
        } else {
            f32::NEG_INFINITY
        }
    });
    let reference = batch(
        "layer_0_attn_scores",
        &batch_scores,
        &[TOKENS, heads, TOKENS],
    );
    let candidate =
        batch("layer_0_attn_scores", &padded, &[heads, TOKENS, room]).with("token_axis", json!(1));
    matches(&reference, &candidate, &["axes-swapped", "padded-keys"]);
    // One by one, each with as many keys as there are.
    let singles: Vec<Line> = (0..TOKENS)
        .map(|position| {
            let values = build([1, heads, position + 1], |_, head, key| {
                score(position, head, key)
            });
            record("layer_0_attn_scores", position as i64, &values)
                .shape(&[1, heads, position + 1])
                .n_tokens(1)
        })
        .collect();
    let report = compare_lines(&[reference], &singles);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", TOKENS as u64),
        "{:?}",
        report.coverage
    );
}

#[test]
fn fused_products_are_parted() {
    // Q of 6, K and V of 2 elements a token; names as vLLM has them.
    let part = |name: u64, width: usize, i: usize| noise(name * 50 + i as u64 + 1, width);
    let rows = |name: u64, width: usize| -> Vec<f32> {
        (0..TOKENS).flat_map(|i| part(name, width, i)).collect()
    };
    let fused: Vec<f32> = (0..TOKENS)
        .flat_map(|i| [part(1, 6, i), part(2, 2, i), part(3, 2, i)].concat())
        .collect();
    let gate_up: Vec<f32> = (0..TOKENS)
        .flat_map(|i| [part(4, 5, i), part(5, 5, i)].concat())
        .collect();
    let reference = [
        batch("layer_0_q", &rows(1, 6), &[TOKENS, 3, 2]),
        batch("layer_0_k", &rows(2, 2), &[TOKENS, 1, 2]),
        batch("layer_0_v", &rows(3, 2), &[TOKENS, 2]),
        batch("layer_0_ffn_gate", &rows(4, 5), &[TOKENS, 5]),
        batch("layer_0_ffn_up", &rows(5, 5), &[TOKENS, 5]),
    ];
    let vllm = [
        batch("model.layers.0.self_attn.qkv_proj", &fused, &[TOKENS, 10])
            .with("team", json!("vllm")),
        batch("model.layers.0.mlp.gate_up_proj", &gate_up, &[TOKENS, 10])
            .with("team", json!("vllm")),
    ];
    for (a, b) in [(&reference[..], &vllm[..]), (&vllm[..], &reference[..])] {
        let report = compare_lines(a, b);
        assert_eq!(
            (report.verdict.as_str(), report.coverage.compared),
            ("match", 5),
            "{:?}",
            report.coverage
        );
        assert!(undone(&report).contains(&"fused"));
        assert_eq!(report.alignment.maps[0].map, "vllm");
    }
    let report = compare_lines(&vllm, &vllm);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 2)
    );
    assert_eq!(undone(&report), ["fused-on-both-sides"]);
}
