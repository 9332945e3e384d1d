//! Rows by name and position, however the passes cut them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use parity::tensor::Dense;
use parity::trace::{Gap, Index};
use serde_json::json;
use support::{Folder, Line, record, tokens};

/// `n` rows of two elements: 10 × position, and that plus 1.
fn rows(name: &str, first: i64, n: i64) -> Line {
    let values: Vec<f32> = (first..first + n)
        .flat_map(|position| [10.0 * position as f32, 10.0 * position as f32 + 1.0])
        .collect();
    record(name, first, &values)
        .shape(&[n as usize, 2])
        .n_tokens(n as usize)
}

fn expected(positions: std::ops::Range<i64>) -> Dense {
    let data: Vec<f64> = positions
        .clone()
        .flat_map(|position| [10.0 * position as f64, 10.0 * position as f64 + 1.0])
        .collect();
    Dense::new(vec![positions.count(), 2], data).unwrap()
}

#[test]
fn a_prompt_and_single_tokens_are_one_tensor() {
    let folder = Folder::new();
    let trace = folder.write(
        "run.jsonl",
        &[
            tokens(0, &[5, 6, 7]),
            rows("x", 0, 3).step(0),
            tokens(3, &[8]),
            rows("x", 3, 1).step(1),
            rows("x", 4, 1).step(2),
        ],
    );
    let index = Index::new(&trace).unwrap();
    assert_eq!(index.names().collect::<Vec<_>>(), ["tokens", "x"]);
    assert_eq!(index.positions("x", 0), [0..3, 3..4, 4..5]);
    for (start, end) in [(0, 5), (1, 4), (3, 5), (2, 3), (0, 3)] {
        let found = index.rows("x", 0, start..end).unwrap().unwrap();
        assert_eq!(found, expected(start..end), "{start}..{end}");
    }
    let ids = index.rows("tokens", 0, 1..4).unwrap().unwrap();
    assert_eq!((ids.shape, ids.data), (vec![3], vec![6.0, 7.0, 8.0]));
}

#[test]
fn what_is_missing_is_said() {
    let folder = Folder::new();
    let cut = rows("cut", 0, 3).with("values", json!([0.0, 1.0]));
    let gone = rows("gone", 2, 1).with("values", json!([])).with(
        "payload",
        json!({"file": "gone.tensors", "offset": 0, "nbytes": 8, "dtype": "f32"}),
    );
    let misfit = rows("misfit", 0, 2).n_tokens(3);
    let trace = folder.write(
        "run.jsonl",
        &[rows("x", 0, 2), rows("x", 3, 1), cut, gone, misfit],
    );
    let index = Index::new(&trace).unwrap();
    let gap = |name: &str, start, end| index.look(name, 0, start..end).unwrap().unwrap_err();
    assert_eq!(gap("x", 0, 4), Gap::NotLogged { position: 2 });
    assert_eq!(gap("y", 0, 1), Gap::NotLogged { position: 0 });
    assert_eq!(gap("cut", 0, 1), Gap::NotWhole { position: 0 });
    assert!(matches!(
        gap("gone", 2, 3),
        Gap::Payload { position: 2, .. }
    ));
    assert_eq!(gap("misfit", 0, 2), Gap::Shape { position: 0 });
    assert_eq!(index.rows("x", 0, 0..2).unwrap(), Some(expected(0..2)));
    assert_eq!(index.rows("x", 1, 0..2).unwrap(), None, "another sequence");
    assert!(index.positions("y", 0).is_empty());
}

#[test]
fn sequences_are_told_apart() {
    let folder = Folder::new();
    let second = record("x", 0, &[7.0, 8.0])
        .shape(&[1, 2])
        .n_tokens(1)
        .with("seq", json!(4));
    let trace = folder.write("run.jsonl", &[rows("x", 0, 1), second]);
    let index = Index::new(&trace).unwrap();
    assert_eq!(index.sequences(), [0, 4]);
    assert_eq!(index.rows("x", 0, 0..1).unwrap(), Some(expected(0..1)));
    let other = index.rows("x", 4, 0..1).unwrap().unwrap();
    assert_eq!(other.data, [7.0, 8.0]);
}

#[test]
fn records_of_six_fields_are_single_tokens() {
    let folder = Folder::new();
    let trace = folder.write(
        "run.jsonl",
        &[
            record("x", 0, &[0.0, 1.0]),
            record("x", 1, &[10.0, 11.0]).shape(&[1, 2]),
        ],
    );
    let index = Index::new(&trace).unwrap();
    assert_eq!(index.rows("x", 0, 0..2).unwrap(), Some(expected(0..2)));
}

#[test]
fn payloads_are_read_row_by_row() {
    let folder = Folder::new();
    let numbers: Vec<f32> = (0..6).map(|x| x as f32 / 4.0).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    folder.write_bytes("run.tensors", &[&[0_u8; 4][..], &bytes].concat());
    let payload = json!({"file": "run.tensors", "offset": 4, "nbytes": 24, "dtype": "f32"});
    let line = record("x", 7, &numbers[..1])
        .shape(&[3, 1, 2])
        .n_tokens(3)
        .with("payload", payload);
    let trace = folder.write("run.jsonl", &[line]);
    let index = Index::new(&trace).unwrap();
    let found = index.rows("x", 0, 8..10).unwrap().unwrap();
    assert_eq!(found.shape, [2, 1, 2]);
    assert_eq!(found.data, [0.5, 0.75, 1.0, 1.25]);
}

#[test]
fn a_foreign_axis_of_tokens_comes_first() {
    // [heads = 2, tokens = 3, lanes = 1]
    let folder = Folder::new();
    let line = record("x", 0, &[0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
        .shape(&[2, 3, 1])
        .n_tokens(3)
        .with("token_axis", json!(1));
    let trace = folder.write("run.jsonl", &[line]);
    let found = Index::new(&trace).unwrap().rows("x", 0, 1..3).unwrap();
    let found = found.unwrap();
    assert_eq!(found.shape, [2, 2, 1]);
    assert_eq!(found.data, [1.0, 11.0, 2.0, 12.0]);
}

#[test]
fn scores_grow_with_the_position() {
    // One head; [tokens, 1, kv].
    let folder = Folder::new();
    let trace = folder.write(
        "run.jsonl",
        &[
            record("s", 0, &[1.0, 0.0, 2.0, 3.0])
                .shape(&[2, 1, 2])
                .n_tokens(2),
            record("s", 2, &[4.0, 5.0, 6.0])
                .shape(&[1, 1, 3])
                .n_tokens(1),
        ],
    );
    let found = Index::new(&trace).unwrap().rows("s", 0, 0..3).unwrap();
    let found = found.unwrap();
    assert_eq!(found.shape, [3, 1, 3]);
    assert_eq!(found.data, [1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0]);
}

#[test]
fn what_was_written_last_counts() {
    // A warm-up at position 0, then the prompt.
    let folder = Folder::new();
    let warm_up = record("x", 0, &[-1.0, -2.0]).shape(&[1, 2]).n_tokens(1);
    let repeated = rows("x", 1, 1)
        .with("occurrence", json!(1))
        .with("values", json!([0.5, 0.5]));
    let again = record("x", 1, &[5.0, 6.0]).shape(&[1, 2]).n_tokens(1);
    let trace = folder.write("run.jsonl", &[warm_up, rows("x", 0, 3), again, repeated]);
    let index = Index::new(&trace).unwrap();
    let found = index.rows("x", 0, 0..3).unwrap().unwrap();
    assert_eq!(found.data, [0.0, 1.0, 5.0, 6.0, 20.0, 21.0]);
    assert_eq!(index.positions("x", 0), [0..1, 0..3, 1..2]);

    // What came first is still there for what was computed then.
    let batches = index.batches("x", 0);
    let spans: Vec<_> = batches
        .iter()
        .map(|batch| batch.positions.clone())
        .collect();
    assert_eq!(spans, [0..1, 0..3, 1..2]);
    let as_of = |batch: usize| {
        let batch = &batches[batch];
        let found = index.look_as_of("x", 0, batch.positions.clone(), batch.pass);
        found.unwrap().unwrap().data
    };
    assert_eq!(as_of(0), [-1.0, -2.0]);
    assert_eq!(as_of(1), expected(0..3).data);
    assert_eq!(as_of(2), [5.0, 6.0]);
}
