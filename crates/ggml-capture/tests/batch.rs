//! A prompt as one batch, in pieces, token by token or beside others gives the same numbers but for rounding.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;

use common::form::{FORMS, Form, HEADS};
use common::{Tensor, capture, config, read};
use orch_log::forced::{Batch, Forced};

/// The rows of all records of a checkpoint of one sequence, one a token; scores and probabilities up to the token's own
/// position, for a batch has places for later ones.
fn rows(records: &[Tensor], checkpoint: &str, seq: u64) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    for tensor in records {
        let record = &tensor.record;
        if record.checkpoint != checkpoint || record.seq != seq {
            continue;
        }
        assert_eq!(record.token_idx, rows.len() as i64, "{checkpoint}");
        assert_eq!(record.shape[0], record.n_tokens, "{checkpoint}");
        let row = tensor.data.len() / record.n_tokens;
        for data in tensor.data.chunks(row) {
            let seen = rows.len() + 1;
            if checkpoint.contains("attn_scores") || checkpoint.contains("attn_probs") {
                let heads = data.chunks(row / HEADS);
                rows.push(heads.flat_map(|head| &head[..seen]).copied().collect());
            } else {
                rows.push(data.to_vec());
            }
        }
    }
    rows
}

/// Compares sequence `seq` of `records` with `alone`, a run of that sequence only.
fn compare(form: &Form, what: &str, alone: &[Tensor], records: &[Tensor], seq: u64) {
    let names: BTreeSet<&str> = alone.iter().map(|t| t.record.checkpoint.as_str()).collect();
    let mut worst = (0.0, "");
    for name in &names {
        let (expected, found) = (rows(alone, name, 0), rows(records, name, seq));
        assert_eq!(expected.len(), found.len(), "{what}: {name}");
        let (mut error, mut size) = (0.0, 0.0);
        for (a, b) in expected.iter().zip(&found) {
            assert_eq!(a.len(), b.len(), "{what}: {name}");
            for (a, b) in a.iter().zip(b) {
                error += f64::from(a - b).powi(2);
                size += f64::from(*a).powi(2);
            }
        }
        let relative = (error / size).sqrt();
        if relative > worst.0 {
            worst = (relative, name);
        }
    }
    println!(
        "{:?} {what}: {} checkpoints, largest relative RMSE {:.1e} at {}",
        form.architecture,
        names.len(),
        worst.0,
        worst.1
    );
    assert!(
        worst.0 < form.batch_limit,
        "{:?} {what}: {worst:?}",
        form.architecture
    );
}

#[test]
fn token_by_token() {
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = config(&form.model(folder.path()), &path("batch.jsonl"));
        config.n_predict = Some(1);
        let summary = capture(&config);
        let batches = summary.prompt_tokens.iter().zip(0..);
        let batches = batches
            .map(|(id, step)| Batch {
                tokens: vec![u32::try_from(*id).unwrap()],
                step,
            })
            .collect();
        config.forced = Some(Forced::Trace { batches, prompt: 1 });
        config.prompt = None;
        config.n_predict = None;
        config.log.path = path("single.jsonl");
        assert_eq!(capture(&config).passes, summary.prompt_tokens.len());
        let (batch, single) = (read(&path("batch.jsonl")), read(&path("single.jsonl")));
        compare(form, "token by token", &batch, &single, 0);
    }
}

#[test]
fn a_prompt_longer_than_a_batch() {
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = config(&form.model(folder.path()), &path("whole.jsonl"));
        let whole = capture(&config);
        let length = whole.prompt_tokens.len();
        config.n_ubatch = Some(5);
        config.log.path = path("pieces.jsonl");
        let pieces = capture(&config);
        assert_eq!(pieces.continuation, whole.continuation);
        assert_eq!(pieces.passes, length.div_ceil(5) + 3);

        let records = read(&path("pieces.jsonl"));
        let tokens = records.iter().map(|tensor| &tensor.record);
        let tokens = tokens.filter(|record| record.checkpoint == "tokens");
        let found: Vec<_> = tokens
            .map(|record| (record.step, record.n_tokens))
            .collect();
        let mut expected = vec![(Some(0), 5); length / 5];
        expected.push((Some(0), length % 5));
        expected.extend([(Some(1), 1), (Some(2), 1), (Some(3), 1)]);
        assert_eq!(found, expected);
        compare(form, "in pieces", &read(&path("whole.jsonl")), &records, 0);

        // Such a trace can be forced, whatever the batches are.
        config.n_ubatch = None;
        config.prompt = None;
        config.forced = Some(Forced::read(&path("pieces.jsonl")).unwrap());
        config.log.path = path("forced.jsonl");
        assert_eq!(capture(&config).prompt_tokens, whole.prompt_tokens);
    }
}

#[test]
fn several_sequences_in_one_batch() {
    let prompts = ["Write a haiku", "The quick brown fox jumps", "A"];
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = config(&form.model(folder.path()), &path("all.jsonl"));
        config.prompt = Some(prompts[0].to_owned());
        config.beside = prompts[1..].iter().copied().map(str::to_owned).collect();
        let together = capture(&config);
        assert_eq!((together.passes, together.beside.len()), (4, 2));
        config.n_ubatch = Some(4);
        config.log.path = path("pieces.jsonl");
        capture(&config);

        config.beside.clear();
        config.n_ubatch = None;
        for (seq, prompt) in prompts.iter().enumerate() {
            config.prompt = Some((*prompt).to_owned());
            config.log.path = path("alone.jsonl");
            let alone = capture(&config);
            let continuation = match seq {
                0 => &together.continuation,
                seq => &together.beside[seq - 1].continuation,
            };
            assert_eq!(&alone.continuation, continuation);
            let records = read(&path("alone.jsonl"));
            for name in ["all", "pieces"] {
                let trace = read(&path(&format!("{name}.jsonl")));
                compare(
                    form,
                    &format!("{name}, sequence {seq}"),
                    &records,
                    &trace,
                    seq as u64,
                );
            }
        }
    }
}
