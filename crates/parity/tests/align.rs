//! Which records become pairs.

mod support;

use parity::Options;
use proptest::prelude::*;
use proptest::test_runner::Config;
use support::{Folder, Line, compare_lines, compare_with, record};

fn trace(positions: i64) -> Vec<Line> {
    let stages = [
        "embedding",
        "layer_0_q",
        "layer_0_output",
        "layer_1_q",
        "layer_1_output",
        "logits",
    ];
    let mut lines = Vec::new();
    for position in 0..positions {
        for (index, stage) in stages.iter().enumerate() {
            lines.push(record(
                stage,
                position,
                &[position as f32, index as f32, 0.5],
            ));
        }
    }
    lines
}

proptest! {
    #![proptest_config(Config::with_cases(24))]

    #[test]
    fn any_order_gives_the_same_pairs(order in Just((0..42).collect::<Vec<usize>>()).prop_shuffle()) {
        let lines = trace(7);
        let shuffled: Vec<Line> = order.iter().map(|index| lines[*index].clone()).collect();
        for (reference, candidate) in [(&lines, &shuffled), (&shuffled, &lines)] {
            let report = compare_lines(reference, candidate);
            prop_assert_eq!(&report.verdict, "match");
            prop_assert_eq!(report.coverage.compared, 42);
            prop_assert_eq!(report.coverage.missing_in_candidate.records, 0);
            prop_assert_eq!(report.coverage.missing_in_reference.records, 0);
        }
    }

    #[test]
    fn what_is_missing_on_either_side_is_counted_and_listed(
        kept in proptest::collection::vec((any::<bool>(), any::<bool>()), 42),
        order in Just((0..42).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let lines = trace(7);
        let ours: Vec<Line> = (0..42).filter(|index| kept[*index].0).map(|index| lines[index].clone()).collect();
        let theirs: Vec<Line> = order.iter().filter(|index| kept[**index].1).map(|index| lines[*index].clone()).collect();
        let both = kept.iter().filter(|(a, b)| *a && *b).count();
        let report = compare_lines(&ours, &theirs);
        prop_assert_eq!(report.coverage.compared, both as u64);
        for (missing, records) in [
            (&report.coverage.missing_in_candidate, ours.len() - both),
            (&report.coverage.missing_in_reference, theirs.len() - both),
        ] {
            prop_assert_eq!(missing.records, records as u64);
            prop_assert_eq!(missing.list.len(), records);
            prop_assert_eq!(missing.groups.iter().map(|group| group.records).sum::<u64>(), records as u64);
        }
        prop_assert_eq!(report.exit_code, if both == 0 { 3 } else { 0 });
    }
}

#[test]
fn layers_are_listed_together() {
    let lines = trace(2);
    let without: Vec<Line> = lines
        .iter()
        .filter(|line| !line.0["checkpoint"].as_str().unwrap().ends_with("_q"))
        .cloned()
        .collect();
    let report = compare_lines(&lines, &without);
    let missing = &report.coverage.missing_in_candidate;
    assert_eq!(missing.groups.len(), 1);
    assert_eq!(
        (
            missing.groups[0].pattern.as_str(),
            missing.groups[0].names,
            missing.groups[0].records
        ),
        ("layer_*_q", 2, 4)
    );
    assert_eq!(missing.list[0], "`layer_0_q` at position 0");
}

#[test]
fn the_list_is_capped_but_not_the_count() {
    let many: Vec<Line> = (0..500)
        .map(|position| record("a", position, &[1.0]))
        .collect();
    let report = compare_lines(&many, &many[..1]);
    assert_eq!(report.coverage.missing_in_candidate.records, 499);
    assert_eq!(report.coverage.missing_in_candidate.list.len(), 200);
}

#[test]
fn axes_of_length_one_are_no_difference() {
    let reference = [record("logits", 0, &[1.0, 2.0])];
    let candidate = [record("logits", 0, &[1.0, 2.0]).shape(&[1, 2]).n_tokens(1)];
    assert_eq!(compare_lines(&reference, &candidate).verdict, "match");
    // Nor inside, whatever the number of tokens.
    let reference = [record("logits", 0, &[1.0, 2.0]).shape(&[2, 1]).n_tokens(2)];
    let candidate = [record("logits", 0, &[1.0, 2.0])
        .shape(&[2, 1, 1])
        .n_tokens(2)];
    assert_eq!(compare_lines(&reference, &candidate).verdict, "match");
}

#[test]
fn other_shapes_are_listed_and_alone_are_not_a_pass() {
    let reference = [record("a", 3, &[1.0, 2.0]), record("b", 3, &[1.0])];
    let candidate = [record("a", 3, &[1.0, 2.0, 3.0]), record("b", 3, &[1.0])];
    let report = compare_lines(&reference, &candidate);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.shape_mismatches),
        ("match", 1)
    );
    let mismatch = &report.coverage.shape_mismatch_list[0];
    assert_eq!(
        (
            &mismatch.reference[..],
            &mismatch.candidate[..],
            mismatch.token_idx
        ),
        (&[2][..], &[3][..], 3)
    );
    let report = compare_lines(&reference[..1], &candidate[..1]);
    assert_eq!(report.exit_code, 3);
    assert!(report.reasons[0].contains("none of the 1 pairs could be compared: 1 differ in shape"));
}

#[test]
fn only_what_is_asked_for() {
    let folder = Folder::new();
    let (reference, candidate) = (
        folder.write("r.jsonl", &trace(3)),
        folder.write("c.jsonl", &trace(3)),
    );
    let filtered = |globs: &str| {
        let options = Options {
            filter: orch_log::Filter::new(globs),
            ..Options::default()
        };
        compare_with(&reference, &candidate, &options)
    };
    assert_eq!(filtered("layer_*").coverage.compared, 12);
    assert_eq!(filtered("layer_*,!*_q").coverage.compared, 6);
    let nothing = filtered("nonsense");
    assert_eq!(
        (
            nothing.exit_code,
            nothing.coverage.missing_in_candidate.records
        ),
        (3, 0)
    );
}

#[test]
fn positions_from_another_origin() {
    let shifted: Vec<Line> = (0..3)
        .map(|position| record("a", position + 7, &[position as f32, 1.0]))
        .collect();
    let plain: Vec<Line> = (0..3)
        .map(|position| record("a", position, &[position as f32, 1.0]))
        .collect();
    let folder = Folder::new();
    let (reference, candidate) = (
        folder.write("r.jsonl", &plain),
        folder.write("c.jsonl", &shifted),
    );
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!(report.exit_code, 3);
    assert!(
        report.reasons[0].contains("the reference at positions 0 to 2, the candidate at 7 to 9"),
        "{:?}",
        report.reasons
    );
    let options = Options {
        token_offset: Some(-7),
        ..Options::default()
    };
    assert_eq!(
        compare_with(&reference, &candidate, &options).verdict,
        "match"
    );
}
