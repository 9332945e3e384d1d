//! A checkpoint that is captured alone is the one that is captured among all: what it takes from other nodes (a factor,
//! a half) does not depend on their being wanted.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::form::FORMS;
use common::{capture, config, read};

#[test]
fn one_checkpoint_alone() {
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = config(&form.model(folder.path()), &path("all.jsonl"));
        config.n_predict = Some(2);
        capture(&config);
        let all = read(&path("all.jsonl"));
        config.log.path = path("one.jsonl");
        let names = all[..all.len() / 2]
            .iter()
            .map(|tensor| &tensor.record.checkpoint);
        let names = names.filter(|name| *name != "tokens");
        for name in names.filter(|name| !name.starts_with("layer_") || name.starts_with("layer_1_"))
        {
            config.log.filter = orch_log::Filter::new(name);
            capture(&config);
            let mut one = read(&path("one.jsonl"));
            // Those are there whatever is filtered.
            one.retain(|tensor| tensor.record.checkpoint != "tokens");
            let same = all
                .iter()
                .filter(|tensor| tensor.record.checkpoint == *name);
            let pairs: Vec<_> = one.iter().zip(same).collect();
            assert_eq!(
                (one.len(), pairs.len()),
                (2, 2),
                "{:?}: {name}",
                form.architecture
            );
            for (one, all) in pairs {
                assert_eq!(one.record.checkpoint, *name);
                assert_eq!(one.record.shape, all.record.shape, "{name}");
                assert!(one.data == all.data, "{:?}: {name}", form.architecture);
            }
        }
    }
}
