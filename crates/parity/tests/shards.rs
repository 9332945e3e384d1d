//! Ranks of a sharded run, put together.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use parity::Options;
use parity::trace::{Trace, merge_ranks};
use serde_json::json;
use support::{Folder, Line, compare_with, noise, record, tokens};

const TOKENS: usize = 3;
const WIDTH: usize = 8;
const INNER: usize = 12;

/// Rows of `x` times the columns `columns` of a `[rows, all]` matrix, summed over `rows` in order: the arithmetic of a rank.
fn product(
    x: &[f32],
    weights: &[f32],
    all: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Vec<f32> {
    let inputs = x.len() / TOKENS;
    let mut out = Vec::new();
    for token in 0..TOKENS {
        for column in columns.clone() {
            let terms = rows
                .clone()
                .map(|row| x[token * inputs + row - (rows.start)] * weights[row * all + column]);
            out.push(terms.fold(0.0, |sum, term| sum + term));
        }
    }
    out
}

fn line(name: &str, values: &[f32]) -> Line {
    record(name, 0, values)
        .shape(&[TOKENS, values.len() / TOKENS])
        .n_tokens(TOKENS)
}

fn of_rank(line: Line, rank: usize) -> Line {
    line.with("rank", json!(rank)).with("world", json!(2))
}

/// A feed-forward part: once by one process, once by two, the first product split by columns and the second by rows.
fn run() -> (Vec<Line>, [Vec<Line>; 2]) {
    let x = noise(1, TOKENS * WIDTH);
    let (up, down) = (noise(2, WIDTH * INNER), noise(3, INNER * WIDTH));
    let half = INNER / 2;
    let ids = tokens(0, &[5, 9, 2]);
    let mut ranks = [Vec::new(), Vec::new()];
    let (mut parts, mut sums) = (Vec::new(), Vec::new());
    for (rank, lines) in ranks.iter_mut().enumerate() {
        let mine = rank * half..(rank + 1) * half;
        let inner = product(&x, &up, INNER, 0..WIDTH, mine.clone());
        let partial = product(&inner, &down, WIDTH, mine, 0..WIDTH);
        lines.push(of_rank(ids.clone(), rank));
        lines.push(of_rank(line("layer_0_ffn_norm", &x), rank));
        lines.push(
            of_rank(line("layer_0_ffn_up", &inner), rank)
                .with("shard", json!({"axis": 1, "index": rank, "count": 2})),
        );
        lines.push(of_rank(line("layer_0_ffn_out", &partial), rank));
        parts.push(inner);
        sums.push(partial);
    }
    let inner = product(&x, &up, INNER, 0..WIDTH, 0..INNER);
    let whole: Vec<f32> = sums[0].iter().zip(&sums[1]).map(|(a, b)| a + b).collect();
    let reference = vec![
        ids,
        line("layer_0_ffn_norm", &x),
        line("layer_0_ffn_up", &inner),
        line("layer_0_ffn_out", &whole),
    ];
    (reference, ranks)
}

#[test]
fn two_ranks_are_the_unsharded_run_to_the_bit() {
    let (reference, [first, second]) = run();
    let folder = Folder::new();
    let reference = folder.write("ref.jsonl", &reference);
    let unmerged = compare_with(
        &reference,
        &folder.write("one.jsonl", &first),
        &Options::default(),
    );
    let told = unmerged
        .findings
        .iter()
        .any(|finding| finding.code == "C016" && finding.side == "candidate");
    assert!(told, "{:?}", unmerged.findings);
    let sums = orch_log::Filter::new("layer_*_ffn_out");
    let apart = vec![
        folder.write("rank0.jsonl", &first),
        folder.write("rank1.jsonl", &second),
    ];
    let together = vec![folder.write("all.jsonl", &[first, second].concat())];
    for (name, traces) in [("a.jsonl", apart), ("b.jsonl", together)] {
        let merged = merge_ranks(&traces, Some(&sums), &folder.path(name)).unwrap();
        assert_eq!(
            (
                merged.records,
                merged.concatenated,
                merged.summed,
                merged.replicated,
                merged.refused
            ),
            (4, 1, 1, 2, 0),
            "{merged:?}"
        );
        let report = compare_with(
            &reference,
            &Trace::open(folder.path(name)).unwrap(),
            &Options::default(),
        );
        assert_eq!(
            (report.verdict.as_str(), report.coverage.identical),
            ("match", 3),
            "{:?}",
            report.findings
        );
        assert_eq!(report.coverage.rests_on.all_elements, 3);
        assert_eq!(report.tokens.status, "same");
    }
}

#[test]
fn what_ranks_disagree_about_is_refused_and_said() {
    let (_, [first, second]) = run();
    let folder = Folder::new();
    let traces = [
        folder.write("rank0.jsonl", &first),
        folder.write("rank1.jsonl", &second),
    ];
    // Nobody said that these are partial sums.
    let merged = merge_ranks(&traces, None, &folder.path("out.jsonl")).unwrap();
    assert_eq!(
        (merged.records, merged.refused, merged.replicas_differ),
        (3, 1, 1)
    );
    assert!(
        merged.reasons[0].contains("`layer_0_ffn_out` at position 0")
            && merged.reasons[0].contains("--sum"),
        "{:?}",
        merged.reasons
    );
    // One rank is missing.
    let merged = merge_ranks(&traces[..1], None, &folder.path("out.jsonl")).unwrap();
    assert!(
        merged.reasons[0].contains("missing: 1"),
        "{:?}",
        merged.reasons
    );
    // Only first values are known.
    let few = record("a", 0, &[1.0, 2.0])
        .shape(&[4])
        .with("rank", json!(1));
    let merged = merge_ranks(
        &[folder.write("few.jsonl", &[few])],
        None,
        &folder.path("out.jsonl"),
    )
    .unwrap();
    assert_eq!((merged.records, merged.refused), (0, 1));
}

#[test]
fn ranks_of_a_pipeline_hold_other_layers() {
    let layer = |layer: usize, position: usize| {
        record(
            &format!("layer_{layer}_output"),
            position as i64,
            &noise((layer * 10 + position + 1) as u64, 6),
        )
    };
    let stage = |layers: std::ops::Range<usize>, rank: usize| -> Vec<Line> {
        (0..3)
            .flat_map(|position| layers.clone().map(move |index| (index, position)))
            .map(|(index, position)| {
                layer(index, position)
                    .with("rank", json!(rank))
                    .with("world", json!(2))
            })
            .collect()
    };
    let folder = Folder::new();
    let all: Vec<Line> = (0..3)
        .flat_map(|position| (0..4).map(move |index| layer(index, position)))
        .collect();
    let reference = folder.write("ref.jsonl", &all);
    let traces = [
        folder.write("rank0.jsonl", &stage(0..2, 0)),
        folder.write("rank1.jsonl", &stage(2..4, 1)),
    ];
    let merged = merge_ranks(&traces, None, &folder.path("out.jsonl")).unwrap();
    assert_eq!((merged.records, merged.refused), (12, 0));
    let report = compare_with(
        &reference,
        &Trace::open(folder.path("out.jsonl")).unwrap(),
        &Options::default(),
    );
    assert_eq!(
        (report.verdict.as_str(), report.coverage.identical),
        ("match", 12)
    );
}
