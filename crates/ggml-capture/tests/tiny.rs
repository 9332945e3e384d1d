//! Tiny models: the same options give the same file, another seed another one, and half precision runs too.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::form::FORMS;
use common::{capture, config, smollm2};
use ggml_capture::models::{Architecture, TinyOptions, inspect, tiny};

#[test]
fn every_architecture_is_tested() {
    let tested: Vec<Architecture> = FORMS.iter().map(|form| form.architecture).collect();
    assert_eq!(
        tested,
        Architecture::ALL.map(|(_, architecture)| architecture)
    );
}

#[test]
fn options_decide_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = |architecture, options: TinyOptions| {
        tiny(architecture, &options, &smollm2(), &path("made.gguf")).unwrap();
        std::fs::read(path("made.gguf")).unwrap()
    };
    let options = TinyOptions::default();
    for (name, architecture) in Architecture::ALL {
        let first = made(architecture, options);
        assert!(first == made(architecture, options), "{name}");
        let seed = 7;
        assert!(
            first != made(architecture, TinyOptions { seed, ..options }),
            "{name}"
        );
        made(
            architecture,
            TinyOptions {
                layers: 2,
                half: true,
                ..options
            },
        );
        let found = inspect(&path("made.gguf")).unwrap();
        assert_eq!(
            (found.layers, found.weights()),
            (Some(2), Some("f16")),
            "{name}"
        );
        let summary = capture(&config(&path("made.gguf"), &path("trace.jsonl")));
        assert_eq!(summary.passes, 4, "{name}");
    }
}
