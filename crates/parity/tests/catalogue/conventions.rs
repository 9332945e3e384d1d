//! Two engines that mean different things by one name.

use super::support::{Folder, Line, compare_lines, compare_with, noise, record, tokens};
use super::{engine, plain};
use parity::Options;
use parity::align::maps::{Choice, NameMap};
use parity::align::{Profile, Proposal, propose};
use std::sync::Arc;

#[test]
fn a_layer_index_off_by_one() {
    // Hidden state l is what enters layer l: the output of the layer before.
    let layers = 6;
    let hidden = |layer: i64, position: i64| noise((10 * layer + 1000 * position + 3) as u64, 32);
    let trace = |shift: i64| -> Vec<Line> {
        let mut lines = Vec::new();
        for position in 0..4 {
            lines.push(tokens(position, &[9 + position as i32]));
            for layer in 0..layers {
                lines.push(record(
                    &format!("layer_{layer}_output"),
                    position,
                    &hidden(layer - shift, position),
                ));
            }
        }
        lines
    };
    let (reference, shifted) = (trace(0), trace(1));
    assert_eq!(compare_lines(&reference, &shifted).exit_code, 1);

    let folder = Folder::new();
    let (ours, theirs) = (
        folder.write("r.jsonl", &reference),
        folder.write("c.jsonl", &shifted),
    );
    let proposal = propose(
        &Profile::of(&ours, 0).unwrap(),
        &Profile::of(&theirs, 0).unwrap(),
    );
    let sure: Vec<(&str, &str)> = proposal
        .pairs
        .iter()
        .filter(|pair| pair.confidence >= Proposal::SURE)
        .map(|pair| (&*pair.candidate, &*pair.reference))
        .collect();
    assert_eq!(sure.len(), 5, "{:?}", proposal.pairs);
    for layer in 1..6 {
        let expected = (
            format!("layer_{layer}_output"),
            format!("layer_{}_output", layer - 1),
        );
        assert!(sure.contains(&(&expected.0, &expected.1)), "{sure:?}");
    }
    let map = NameMap::parse(
        "[names]\n\"layer_{i}_output\" = \"layer_{i-1}_output\"\n",
        "shifted.toml",
    )
    .unwrap();
    let options = Options {
        candidate_map: Choice::Map(Arc::new(map)),
        ..Options::default()
    };
    let mapped = compare_with(&ours, &theirs, &options);
    assert_eq!(
        (mapped.verdict.as_str(), mapped.coverage.compared),
        ("match", 20)
    );
}

#[test]
fn dimensions_in_the_opposite_order() {
    // The same bytes; a reader that gives the fastest dimension first.
    let data = noise(3, 24);
    let trace = |shape: &[usize]| {
        [
            tokens(0, &[1; 6]),
            record("layer_0_attn_out", 0, &data)
                .shape(shape)
                .n_tokens(6),
        ]
    };
    let report = compare_lines(&trace(&[6, 4]), &trace(&[4, 6]));
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 1)
    );
    let undone: Vec<&str> = report
        .alignment
        .undone
        .iter()
        .map(|difference| &*difference.name)
        .collect();
    assert_eq!(undone, ["shape-reversed"], "undone, and said");
    // Without tokens nothing tells that from another tensor: refused with both shapes.
    let probe = |shape: &[usize]| [tokens(0, &[1]), record("probe", 0, &data).shape(shape)];
    let report = compare_lines(&probe(&[6, 4]), &probe(&[3, 8]));
    assert_eq!((report.exit_code, report.coverage.shape_mismatches), (3, 1));
}

#[test]
fn a_multiplier_outside_the_module() {
    // Granite and others multiply behind the module: its output differs, what is added does not.
    let other = engine(3, |name, _, values| {
        if name.ends_with("attn_out") {
            values.iter().map(|value| value / 0.22).collect()
        } else {
            values
        }
    });
    let report = compare_lines(&plain(3), &other);
    let of = |name: &str| {
        report
            .checkpoints
            .iter()
            .find(|checkpoint| checkpoint.checkpoint == name)
            .unwrap()
    };
    assert!(of("layer_0_attn_out").worst_nmse.0 > 1.0);
    assert_eq!(
        of("layer_0_attn_residual").identical,
        3,
        "nothing came of it"
    );
    assert_eq!(of("logits").identical, 3);
    // The one thing that differs is named, and nothing behind it.
    assert!(
        report
            .reasons
            .iter()
            .any(|reason| reason.contains("attn_out")),
        "{:?}",
        report.reasons
    );
}

#[test]
fn a_centred_unembedding() {
    let centred = engine(3, |name, _, values| {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        if name == "logits" {
            values.iter().map(|value| value - mean).collect()
        } else {
            values
        }
    });
    let report = compare_lines(&plain(3), &centred);
    let different: Vec<&str> = report
        .checkpoints
        .iter()
        .filter(|checkpoint| checkpoint.identical < checkpoint.pairs)
        .map(|checkpoint| &*checkpoint.checkpoint)
        .collect();
    assert_eq!(
        different,
        ["logits"],
        "everything before is the same to the bit"
    );
    // One constant a token: smallest and largest difference are the same number.
    let pair = &report.worst[0];
    let figures = pair.figures.unwrap();
    assert!(
        (figures.max_abs_diff.0 - figures.mean_abs_diff.0).abs() < 1e-6,
        "{figures:?}"
    );
}

#[test]
fn one_token_at_two_positions_without_a_reference() {
    // A layer without rotation gives one token one query, wherever it stands: the trace is its own reference, moved.
    let trace = |rotated: bool| -> Vec<Line> {
        let angle = |position: i64| if rotated { 0.3 * position as f32 } else { 0.0 };
        let mut lines = Vec::new();
        for position in 0..3 {
            let q = noise(12, 8);
            let (sin, cos) = angle(position).sin_cos();
            let turned: Vec<f32> = q
                .chunks(2)
                .flat_map(|pair| [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos])
                .collect();
            lines.push(tokens(position, &[55]));
            lines.push(record("layer_0_q_rope", position, &turned));
        }
        lines
    };
    let against_itself = |lines: &[Line]| {
        let folder = Folder::new();
        let options = Options {
            token_offset: Some(1),
            ..Options::default()
        };
        compare_with(
            &folder.write("a.jsonl", lines),
            &folder.write("b.jsonl", lines),
            &options,
        )
    };
    let sound = against_itself(&trace(false));
    assert_eq!(
        (sound.verdict.as_str(), sound.coverage.compared),
        ("match", 2)
    );
    assert_eq!(against_itself(&trace(true)).verdict, "diverged");
}
