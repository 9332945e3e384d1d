//! What the tests share: models, captures, and traces read back whole.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

pub(crate) mod block;
mod experts;
pub(crate) mod form;
pub(crate) mod maths;
pub(crate) mod weights;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ggml_capture::llama::KvType;
use ggml_capture::models::{Architecture, TinyOptions, tiny};
use ggml_capture::{Config, Summary, run};
use orch_log::format::{Record, parse_line};
use orch_log::{Detail, Settings};

/// The real model that `./test` fetches.
pub(crate) fn smollm2() -> PathBuf {
    let path = std::env::var_os("NUMERIC_PARITY_MODEL")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(
                PathBuf::from(home)
                    .join(".cache/numeric-parity/models/SmolLM2-135M-Instruct.Q4_1.gguf"),
            )
        });
    let path = path.filter(|path| path.exists());
    path.expect("no model: run ./test, which fetches it, or set NUMERIC_PARITY_MODEL")
}

pub(crate) fn tiny_model(folder: &Path, architecture: Architecture) -> PathBuf {
    let path = folder.join(format!("{architecture:?}.gguf"));
    tiny(architecture, &TinyOptions::default(), &smollm2(), &path).unwrap();
    path
}

/// A capture of everything, with an `f32` KV cache and no fused attention.
pub(crate) fn config(model: &Path, trace: &Path) -> Config {
    let mut log = Settings::new(trace, "llama.cpp");
    log.detail = Detail::Full;
    Config {
        prompt: Some("Write a haiku about GPU computing".to_owned()),
        n_predict: Some(4),
        kv_type: KvType::F32,
        ..Config::new(model.to_owned(), log)
    }
}

pub(crate) fn capture(config: &Config) -> Summary {
    let summary = run(config, &AtomicBool::new(false), &mut |_| ()).unwrap();
    assert_eq!(summary.tally.dropped, 0);
    assert!(
        summary.tally.misfits.is_empty(),
        "{:?}",
        summary.tally.misfits
    );
    summary
}

/// A record with all its elements.
pub(crate) struct Tensor {
    pub(crate) record: Record,
    pub(crate) data: Vec<f32>,
}

/// All records of a trace in order, with the elements of their payloads.
pub(crate) fn read(trace: &Path) -> Vec<Tensor> {
    let text = std::fs::read(trace).unwrap();
    let mut payloads: HashMap<String, Vec<u8>> = HashMap::new();
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let record = parse_line(line).unwrap().record;
            let data: Vec<f32> = match &record.payload {
                Some(payload) => {
                    let file = payloads.entry(payload.file.clone()).or_insert_with(|| {
                        std::fs::read(trace.with_file_name(&payload.file)).unwrap()
                    });
                    let start = usize::try_from(payload.offset).unwrap();
                    let bytes = &file[start..start + usize::try_from(payload.nbytes).unwrap()];
                    match record.dtype.to_string().as_str() {
                        "f32" => bytes
                            .as_chunks()
                            .0
                            .iter()
                            .map(|b| f32::from_le_bytes(*b))
                            .collect(),
                        "i32" => bytes
                            .as_chunks()
                            .0
                            .iter()
                            .map(|b| i32::from_le_bytes(*b) as f32)
                            .collect(),
                        other => panic!("{}: unexpected type {other}", record.checkpoint),
                    }
                }
                None => panic!("{} has no payload", record.checkpoint),
            };
            assert_eq!(record.len(), Some(data.len()), "{}", record.checkpoint);
            Tensor { record, data }
        })
        .collect()
}
