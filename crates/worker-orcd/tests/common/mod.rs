//! What the tests share: models, runs of both engines, traces.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

use ggml_capture::llama::{FlashAttention, KvType};
use ggml_capture::models::{Architecture, TinyOptions, Weights, convert, tiny};
use orch_log::format::{Record, parse_line};

/// The folder of models, shared with `./demo`.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("NUMERIC_PARITY_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(home)
                .unwrap()
                .join("numeric-parity")
        })
}

/// SmolLM2 as `./demo` and `./test` fetch it; a test without it says so and passes, unless
/// `REQUIRE_REAL_LLAMA` is set.
pub(crate) fn smollm2() -> Option<PathBuf> {
    let path = cache().join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("REQUIRE_REAL_LLAMA").is_none(),
        "no {}: run ./demo once",
        path.display()
    );
    eprintln!("skipped: no {}; ./demo fetches it", path.display());
    None
}

/// SmolLM2 with other weights, made by llama.cpp once and kept.
pub(crate) fn smollm2_as(name: &str, weights: Weights) -> Option<PathBuf> {
    let source = smollm2()?;
    let path = source.with_file_name(format!("SmolLM2-135M-Instruct.{name}.gguf"));
    if !path.exists() {
        convert(&source, &path, weights).unwrap();
    }
    Some(path)
}

/// A tiny random model in `folder`, with SmolLM2's tokenizer.
pub(crate) fn tiny_model(folder: &Path, architecture: Architecture) -> Option<PathBuf> {
    let path = folder.join(format!("{architecture:?}.gguf").to_lowercase());
    tiny(architecture, &TinyOptions::default(), &smollm2()?, &path).unwrap();
    Some(path)
}

/// How the reference is run.
pub(crate) struct Reference<'a> {
    pub(crate) model: &'a Path,
    pub(crate) prompt: &'a str,
    pub(crate) picks: usize,
}

impl Reference<'_> {
    /// Runs llama.cpp in full detail, without flash attention and with an f32 cache.
    pub(crate) fn run(&self, trace: &Path) -> ggml_capture::Summary {
        let mut log = orch_log::Settings::new(trace, "llama.cpp");
        log.detail = orch_log::Detail::Full;
        let config = ggml_capture::Config {
            model: self.model.to_owned(),
            prompt: Some(self.prompt.to_owned()),
            beside: Vec::new(),
            n_ubatch: None,
            n_predict: Some(self.picks),
            log,
            all: false,
            kv_type: KvType::F32,
            flash_attn: FlashAttention::Off,
            threads: 1,
            gpu_layers: 0,
            check_logits: false,
            temperature: 0.0,
            seed: 0,
            forced: None,
        };
        ggml_capture::run(&config, &AtomicBool::new(false), &mut |_| ()).unwrap()
    }
}

/// Runs the worker; with a trace, in full detail into it.
pub(crate) fn worker(trace: Option<&Path>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker-orcd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ORCH_LOG_") {
            command.env_remove(name);
        }
    }
    if let Some(trace) = trace {
        command
            .env("ORCH_LOG_FILE", trace)
            .env("ORCH_LOG_TEAM", "worker-orcd")
            .env("ORCH_LOG_DETAIL", "full");
    }
    command.args(args).output().unwrap()
}

/// As [`worker`], for runs that must succeed; returns standard output.
pub(crate) fn worker_ok(trace: Option<&Path>, args: &[&str]) -> String {
    let output = worker(trace, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "worker-orcd {args:?} failed: {stderr}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A record with all its numbers, as bits.
pub(crate) struct Full {
    pub(crate) record: Record,
    pub(crate) numbers: Vec<f32>,
}

/// All records of a trace with payloads, in the order of the file.
pub(crate) fn read_trace(path: &Path) -> Vec<Full> {
    let folder = path.parent().unwrap();
    let mut files: HashMap<String, fs::File> = HashMap::new();
    let text = fs::read(path).unwrap();
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let record = parse_line(line).unwrap().record;
            let payload = record.payload.as_ref().expect("a trace in full detail");
            let file = files
                .entry(payload.file.clone())
                .or_insert_with(|| fs::File::open(folder.join(&payload.file)).unwrap());
            let mut bytes = vec![0; payload.nbytes as usize];
            file.read_exact_at(&mut bytes, payload.offset).unwrap();
            let numbers = bytes
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
                .collect();
            Full { record, numbers }
        })
        .collect()
}

/// `layer_17_q` as `layer_*_q`.
pub(crate) fn kind(checkpoint: &str) -> String {
    checkpoint
        .split('_')
        .map(|part| {
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                "*"
            } else {
                part
            }
        })
        .collect::<Vec<_>>()
        .join("_")
}
