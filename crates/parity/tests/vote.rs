//! More than two traces: several candidates, and no reference at all.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use parity::many;
use parity::report::v1::{Report, Vote};
use parity::trace::Trace;
use parity::vote::vote;
use support::{Folder, Line, compare_with, noise, record, tokens};

/// Names of a small model, in dataflow order.
const NAMES: [&str; 5] = [
    "embedding",
    "layer_0_q",
    "layer_0_attn_out",
    "layer_0_output",
    "logits",
];

/// A trace whose checkpoints from `wrong_from` on are another function's.
fn trace(wrong_from: Option<&str>, seed: u64) -> Vec<Line> {
    let mut lines = vec![tokens(0, &[3, 1])];
    let mut wrong = false;
    for (index, name) in NAMES.into_iter().enumerate() {
        wrong |= wrong_from == Some(name);
        let values = noise(if wrong { seed } else { index as u64 + 1 }, 8);
        lines.push(record(name, 0, &values));
        lines.push(record(name, 1, &values));
    }
    lines
}

fn vote_on(traces: &[Vec<Line>]) -> Vote {
    let folder = Folder::new();
    let opened: Vec<Trace> = traces
        .iter()
        .enumerate()
        .map(|(index, lines)| folder.write(&format!("{index}.jsonl"), lines))
        .collect();
    let mut compared = Vec::new();
    for a in 0..opened.len() {
        for b in a + 1..opened.len() {
            compared.push((
                [a, b],
                compare_with(&opened[a], &opened[b], &Default::default()),
            ));
        }
    }
    vote(&compared)
}

#[test]
fn the_odd_one_is_found_wherever_it_stands() {
    for odd in 0..4 {
        let mut traces = vec![trace(None, 0); 4];
        traces[odd] = trace(Some("layer_0_attn_out"), 77);
        let vote = vote_on(&traces);
        let first = vote.first.clone().unwrap();
        assert_eq!((vote.verdict.as_str(), vote.exit_code), ("odd one out", 1));
        assert_eq!(
            (first.checkpoint.as_str(), first.odd),
            ("layer_0_attn_out", vec![odd])
        );
        assert_eq!(first.within_relative_rmse.unwrap().0, 0.0);
        assert!(first.farthest_relative_rmse.0 > 0.1);
        // Before it all agree.
        assert_eq!(vote.checkpoints[1].groups, [[0, 1, 2, 3]]);
        assert!(vote.reasons[0].contains(&format!(
            "{odd}.jsonl is the odd one out, first at `layer_0_attn_out`"
        )));
    }
}

#[test]
fn first_in_dataflow_order_whatever_the_order_of_the_files() {
    let mut backwards = trace(None, 0);
    backwards.reverse();
    let vote = vote_on(&[backwards, trace(Some("layer_0_q"), 9), trace(None, 0)]);
    let names: Vec<&str> = vote
        .checkpoints
        .iter()
        .map(|checkpoint| &*checkpoint.checkpoint)
        .collect();
    assert_eq!(names, NAMES);
    assert_eq!(vote.first.unwrap().checkpoint, "layer_0_q");
}

#[test]
fn two_mistakes_are_told_apart() {
    let vote = vote_on(&[
        trace(None, 0),
        trace(Some("layer_0_output"), 55),
        trace(None, 0),
        trace(Some("layer_0_q"), 56),
        trace(None, 0),
    ]);
    assert_eq!(vote.first.clone().unwrap().odd, [3]);
    assert!(
        vote.reasons
            .iter()
            .any(|reason| reason.contains("1.jsonl is odd too, from `layer_0_output` on")),
        "{:?}",
        vote.reasons
    );
}

#[test]
fn no_majority_no_odd_one() {
    let two_and_two = [
        trace(None, 0),
        trace(Some("layer_0_q"), 55),
        trace(None, 0),
        trace(Some("layer_0_q"), 55),
    ];
    let vote = vote_on(&two_and_two);
    let first = vote.first.clone().unwrap();
    assert_eq!((vote.verdict.as_str(), vote.exit_code), ("no majority", 1));
    assert_eq!(first.groups, [[0, 2], [1, 3]]);
    assert!(first.odd.is_empty());
}

#[test]
fn all_agree_and_none_can() {
    let same = vec![trace(None, 0); 3];
    let vote = vote_on(&same);
    assert_eq!((vote.verdict.as_str(), vote.exit_code), ("agree", 0));
    assert_eq!(vote.checkpoints.len(), NAMES.len());

    // Other tokens: no vote, and then too few are left.
    let mut other = trace(None, 0);
    other[0] = tokens(0, &[8, 1]);
    let vote = vote_on(&[trace(None, 0), other.clone(), trace(None, 0)]);
    assert_eq!(
        (vote.verdict.as_str(), vote.exit_code),
        ("not comparable", 3)
    );
    let vote = vote_on(&[
        trace(None, 0),
        other,
        trace(None, 0),
        trace(Some("logits"), 54),
    ]);
    assert_eq!(
        (vote.verdict.as_str(), vote.first.clone().unwrap().odd),
        ("odd one out", vec![3])
    );
    assert!(
        vote.reasons
            .iter()
            .any(|reason| reason.contains("1.jsonl has no vote: "))
    );

    // Nothing that three have.
    let only = |name: &str| {
        vec![
            tokens(0, &[3]),
            record(name, 0, &noise(1, 4)),
            record("logits", 0, &noise(2, 4)),
        ]
    };
    let mut third = only("b");
    third.pop();
    let vote = vote_on(&[only("a"), only("a"), third]);
    assert_eq!(vote.exit_code, 3);
}

#[test]
fn the_worst_of_many_candidates() {
    let folder = Folder::new();
    let reference = folder.write("ref.jsonl", &trace(None, 0));
    let mut near = trace(None, 0);
    let mut values = noise(5, 8);
    values[3] *= 1.0 + 1e-6;
    near[9] = record("logits", 0, &values);
    let mut other = trace(None, 0);
    other[0] = tokens(0, &[8, 1]);
    let reports: Vec<Report> = [
        ("same.jsonl", trace(None, 0)),
        ("near.jsonl", near),
        ("wrong.jsonl", trace(Some("logits"), 53)),
        ("other.jsonl", other),
    ]
    .iter()
    .map(|(name, lines)| compare_with(&reference, &folder.write(name, lines), &Default::default()))
    .collect();
    let outcome = |upto: usize| {
        let many = many(reports[..upto].to_vec());
        (many.verdict.clone(), many.exit_code)
    };
    assert_eq!(outcome(1), ("match".to_owned(), 0));
    assert_eq!(outcome(2), ("rounding".to_owned(), 0));
    assert_eq!(outcome(3), ("diverged".to_owned(), 1));
    assert_eq!(outcome(4), ("not comparable".to_owned(), 3));
    let table = many(reports).table();
    let row = table
        .lines()
        .find(|line| line.contains("wrong.jsonl "))
        .unwrap();
    assert!(
        row.contains("diverged") && row.ends_with("logits at position 0"),
        "{table}"
    );
    assert!(table.ends_with("verdict: not comparable (exit code 3)\n"));
}
