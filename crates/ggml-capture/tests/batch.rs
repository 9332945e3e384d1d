//! A prompt as one batch, in pieces and token by token gives the same numbers but for rounding.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use common::form::{FORMS, HEADS};
use common::{Tensor, capture, config, read};
use orch_log::forced::{Batch, Forced};

/// The rows of all records of a checkpoint, one a token; scores and probabilities up to the token's own position, for
/// a batch has places for later ones.
fn rows(records: &[Tensor], checkpoint: &str) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    let records = records.iter().filter(|t| t.record.checkpoint == checkpoint);
    for tensor in records {
        let row = tensor.data.len() / tensor.record.n_tokens;
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

#[test]
fn a_batch_agrees_with_token_by_token() {
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = config(&form.model(folder.path()), &path("batch.jsonl"));
        config.n_predict = Some(1);
        let summary = capture(&config);
        let tokens = summary.prompt_tokens.len();
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
        assert_eq!(capture(&config).passes, tokens);

        let (batch, single) = (read(&path("batch.jsonl")), read(&path("single.jsonl")));
        let mut worst = (0.0, String::new());
        for tensor in &batch {
            let name = &tensor.record.checkpoint;
            let (whole, parts) = (rows(&batch, name), rows(&single, name));
            assert_eq!((whole.len(), parts.len()), (tokens, tokens), "{name}");
            let (mut error, mut size) = (0.0, 0.0);
            for (index, (whole, one)) in whole.iter().zip(&parts).enumerate() {
                assert_eq!(whole.len(), one.len(), "{name} at {index}");
                for (a, b) in whole.iter().zip(one) {
                    error += f64::from(a - b).powi(2);
                    size += f64::from(*a).powi(2);
                }
            }
            let relative = (error / size).sqrt();
            if relative > worst.0 {
                worst = (relative, name.clone());
            }
        }
        println!(
            "{:?}: {} checkpoints, {tokens} tokens, largest relative RMSE {:.1e} at {}",
            form.architecture,
            batch.len(),
            worst.0,
            worst.1
        );
        assert!(
            worst.0 < form.batch_limit,
            "{:?}: {worst:?}",
            form.architecture
        );
    }
}
