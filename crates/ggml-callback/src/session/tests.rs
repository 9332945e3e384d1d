//! Passes over graphs of two nodes, made by hand.

use super::*;
use crate::fake::{Fake, leaf};
use orch_log::Settings;
use orch_log::format::parse_line;

/// The records of a trace, each as `CHECKPOINT seq S at POSITION SHAPE VALUES`.
fn records(recorder: &Recorder) -> Vec<String> {
    let text = std::fs::read(recorder.path()).expect("the trace is there");
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let record = parse_line(line).expect("a valid record").record;
            assert_eq!(record.n_tokens, record.shape[0]);
            format!(
                "{} seq {} at {} {:?} {:?}",
                record.checkpoint, record.seq, record.token_idx, record.shape, record.values
            )
        })
        .collect()
}

/// The embedding of three tokens, and the logits of the last of them.
fn nodes() -> [Fake; 2] {
    let table = leaf("token_embd.weight", "f32", [2, 10, 1, 1]);
    let ids = leaf("", "i32", [3, 1, 1, 1]);
    let embedding = Fake::new("embd", "GET_ROWS", [2, 3, 1, 1])
        .from(&[&table, &ids])
        .with_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let logits = Fake::new("result_output", "MUL_MAT", [4, 1, 1, 1])
        .from(&[&leaf("output.weight", "f32", [2, 4, 1, 1]), &embedding])
        .with_f32(&[7.0, 8.0, 9.0, 10.0]);
    [embedding, logits]
}

#[test]
fn nothing_is_written_before_it_is_known_where_it_belongs() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = ["first", "second"].map(|name| {
        Recorder::create(Settings::new(folder.path().join(name), "t")).expect("writable")
    });
    let mut session = Session::new(&first, SessionOptions::default());
    let [embedding, logits] = nodes();
    session.begin_open();
    assert!(session.wants(&&embedding));
    session.take(&&embedding);
    session.take(&&logits);
    assert!(records(&first).is_empty());
    session.continue_in(&second);
    session.place(Pass {
        step: 7,
        tokens: vec![5, 6, 7],
        rows: Rows::new(&[(40, 0), (41, 0), (42, 0)], Some(&[2])),
    });
    session.end();
    assert!(records(&first).is_empty());
    assert_eq!(
        records(&second),
        [
            "tokens seq 0 at 40 [3] [5.0, 6.0, 7.0]",
            "embedding seq 0 at 40 [3, 2] [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]",
            "logits seq 0 at 42 [1, 4] [7.0, 8.0, 9.0, 10.0]",
        ]
    );
    assert_eq!(session.tally().records, 3);
}

#[test]
fn a_batch_of_two_sequences_becomes_a_record_for_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder =
        Recorder::create(Settings::new(folder.path().join("t.jsonl"), "t")).expect("writable");
    let mut session = Session::new(&recorder, SessionOptions::default());
    let [embedding, logits] = nodes();
    session.begin(Pass {
        step: 0,
        tokens: vec![5, 6, 7],
        rows: Rows::new(&[(9, 0), (0, 1), (1, 1)], Some(&[2])),
    });
    session.take(&&embedding);
    session.take(&&logits);
    session.end();
    assert_eq!(
        records(&recorder),
        [
            "tokens seq 0 at 9 [1] [5.0]",
            "tokens seq 1 at 0 [2] [6.0, 7.0]",
            "embedding seq 0 at 9 [1, 2] [1.0, 2.0]",
            "embedding seq 1 at 0 [2, 2] [3.0, 4.0, 5.0, 6.0]",
            "logits seq 1 at 1 [1, 4] [7.0, 8.0, 9.0, 10.0]",
        ]
    );
}
