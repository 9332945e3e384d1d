//! What is paired with what, without measuring.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use parity::report::v1::Pairing;
use parity::{Options, pairing};
use serde_json::json;
use support::{Folder, Line, record, tokens};

fn paired(reference: &[Line], candidate: &[Line], options: &Options) -> Pairing {
    let folder = Folder::new();
    let (ours, theirs) = (
        folder.write("r.jsonl", reference),
        folder.write("c.jsonl", candidate),
    );
    pairing(&ours, &theirs, options, &mut |_| {}).unwrap()
}

#[test]
fn names_shapes_positions_and_what_is_left() {
    let ours = [
        tokens(0, &[1, 2]),
        record("layer_0_q", 0, &[1.0; 8])
            .shape(&[2, 2, 2])
            .n_tokens(2),
        record("layer_1_q", 0, &[1.0; 8])
            .shape(&[2, 2, 2])
            .n_tokens(2),
        record("layer_0_ffn_up", 0, &[1.0; 8])
            .shape(&[2, 4])
            .n_tokens(2),
        record("logits", 0, &[1.0; 2]),
    ];
    let projection = |layer: usize, position| {
        record(
            &format!("model.layers.{layer}.self_attn.q_proj"),
            position,
            &[1.0; 4],
        )
        .with("team", json!("transformers"))
    };
    let theirs = [
        tokens(0, &[1, 2]),
        projection(0, 0),
        projection(1, 0),
        projection(0, 1),
        projection(1, 1),
        record("lm_head", 7, &[1.0; 2]).with("team", json!("transformers")),
    ];
    let found = paired(&ours, &theirs, &Options::default());
    assert_eq!((found.exit_code, found.paired.len()), (0, 2));
    let first = &found.paired[0];
    assert_eq!(
        first.names,
        ["layer_0_q", "model.layers.0.self_attn.q_proj"]
    );
    assert_eq!(
        (first.pairs, first.positions),
        (2, [0, 2]),
        "a batch against two single tokens"
    );
    assert_eq!(first.shapes, [vec![2, 2, 2], vec![4]]);
    let left = |names: &[parity::report::v1::UnpairedName]| {
        names
            .iter()
            .map(|name| (name.checkpoint.clone(), name.records, name.elsewhere))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        left(&found.only_in_reference),
        [
            ("layer_0_ffn_up".to_owned(), 1, false),
            ("logits".to_owned(), 1, true)
        ]
    );
    assert_eq!(
        left(&found.only_in_candidate),
        [("logits".to_owned(), 1, true)]
    );
    assert_eq!(found.maps[0].map, "huggingface");

    let text = found.text(false);
    let row = text
        .lines()
        .find(|line| line.starts_with("layer_*_q "))
        .unwrap();
    assert!(
        row.contains("model.layers.*.self_attn.q_proj") && row.ends_with("[2, 2, 2] [4]  2 layers"),
        "{text}"
    );
    assert!(
        text.contains("logits  1 record, which the other trace has at other positions"),
        "{text}"
    );
    assert!(text.ends_with("4 pairs of 2 checkpoints\n"), "{text}");
    assert!(found.text(true).contains("model.layers.1.self_attn.q_proj"));
}

#[test]
fn nothing_in_common_is_no_success() {
    let found = paired(
        &[record("a", 0, &[1.0])],
        &[record("b", 0, &[1.0])],
        &Options::default(),
    );
    assert_eq!((found.exit_code, found.paired.len()), (3, 0));
    let options = Options {
        token_offset: Some(-3),
        ..Options::default()
    };
    let shifted = paired(
        &[record("a", 0, &[1.0])],
        &[record("a", 3, &[1.0])],
        &options,
    );
    assert_eq!(
        (shifted.exit_code, shifted.paired[0].positions),
        (0, [0, 1])
    );
}
