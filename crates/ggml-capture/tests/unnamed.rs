//! With `all`, every node that computes something is in the trace, and the canonical checkpoints stay what they are.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;

use common::form::FORMS;
use common::{capture, config, read};
use ggml_capture::capture::vocabulary;

#[test]
fn nodes_without_a_canonical_name() {
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = config(&form.model(folder.path()), &path("canonical.jsonl"));
        config.n_predict = Some(2);
        capture(&config);
        config.all = true;
        config.log.path = path("all.jsonl");
        let summary = capture(&config);
        let (canonical, all) = (read(&path("canonical.jsonl")), read(&path("all.jsonl")));
        let names: BTreeSet<String> = vocabulary(3).collect();

        let named: Vec<_> = all
            .iter()
            .filter(|t| names.contains(&t.record.checkpoint))
            .collect();
        assert_eq!(named.len(), canonical.len());
        for (a, b) in named.iter().zip(&canonical) {
            assert_eq!(a.record.checkpoint, b.record.checkpoint);
            assert!(a.data == b.data, "{}", a.record.checkpoint);
        }
        let mut keys = BTreeSet::new();
        let (mut states, mut unnamed) = (0, BTreeSet::new());
        for tensor in &all {
            let record = &tensor.record;
            let name = &record.checkpoint;
            assert!(
                keys.insert((record.step, name.clone(), record.occurrence)),
                "{name} twice in step {:?}",
                record.step
            );
            if names.contains(name) {
                continue;
            }
            unnamed.insert(name.split('-').next().unwrap().to_owned());
            let tokens = if record.step == Some(0) {
                summary.prompt_tokens.len()
            } else {
                1
            };
            if record.has_n_tokens {
                assert_eq!(
                    (record.n_tokens, record.shape[0]),
                    (tokens, tokens),
                    "{name}"
                );
            } else {
                states += 1;
            }
        }
        assert!(unnamed.contains("norm"), "{unnamed:?}");
        println!(
            "{:?}: {} records a pass, {} of them canonical, {states} states; {unnamed:?}",
            form.architecture,
            all.len() / 2,
            canonical.len() / 2,
        );
    }
}
