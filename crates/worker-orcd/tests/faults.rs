//! Every planted fault shows first where the table says, and nowhere before.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test tells by panicking and printing"
)]

mod common;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use common::{Full, read_trace, tiny_model, worker, worker_ok};
use ggml_capture::models::Architecture;
use worker_orcd::faults::{Fault, Needs, all};

/// A prompt of seven tokens and five decode steps, the same for every run.
const PROMPT: &str = "17, 3, 250, 41, 99, 8, 301";
const CONTINUATION: &str = "5, 77, 410, 12, 200";

/// The faulty layer: neither the first nor the last of three.
const LAYER: &str = "1";

struct Bench {
    folder: tempfile::TempDir,
    continuation: PathBuf,
    runs: Cell<usize>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let continuation = folder.path().join("continuation");
        std::fs::write(&continuation, CONTINUATION).unwrap();
        Self {
            folder,
            continuation,
            runs: Cell::new(0),
        }
    }

    fn run(&self, model: &Path, extra: &[&str]) -> Vec<Full> {
        let run = self.runs.replace(self.runs.get() + 1);
        let trace = self.folder.path().join(format!("{run}.jsonl"));
        let (model, forced) = (model.to_str().unwrap(), self.continuation.to_str().unwrap());
        let mut args = vec![
            "generate",
            "-t",
            "1",
            "-m",
            model,
            "--prompt-tokens",
            PROMPT,
            "--force-tokens",
            forced,
        ];
        args.extend(extra);
        worker_ok(Some(&trace), &args);
        read_trace(&trace)
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// The first record that differs, and the rows (tokens) in which it does.
fn first_difference<'a>(clean: &'a [Full], faulty: &'a [Full]) -> Option<(&'a Full, Vec<usize>)> {
    assert_eq!(
        clean.len(),
        faulty.len(),
        "a fault changes numbers, not what is logged"
    );
    clean.iter().zip(faulty).find_map(|(clean, faulty)| {
        assert_eq!(clean.record.checkpoint, faulty.record.checkpoint);
        assert_eq!(clean.record.shape, faulty.record.shape);
        let (a, b) = (bits(&clean.numbers), bits(&faulty.numbers));
        if a == b {
            return None;
        }
        let width = a.len() / faulty.record.n_tokens;
        let rows = a.chunks(width).zip(b.chunks(width)).enumerate();
        let differing = rows
            .filter(|(_, (a, b))| a != b)
            .map(|(row, _)| row)
            .collect();
        Some((faulty, differing))
    })
}

/// Qwen2 has everything that today's faults need: biases, grouped heads, square attention.
fn model_for(fault: &Fault, folder: &Path) -> Option<PathBuf> {
    match fault.needs {
        Needs::Nothing | Needs::GroupedHeads | Needs::SquareAttention | Needs::Tensor(_) => {
            tiny_model(folder, Architecture::Qwen2)
        }
    }
}

#[test]
fn each_shows_first_where_the_table_says() {
    let bench = Bench::new();
    for fault in all() {
        let Some(model) = model_for(fault, bench.folder.path()) else {
            return;
        };
        let clean = bench.run(&model, &[]);
        let mut plant = vec!["--fault", fault.name];
        if fault.first.contains("{L}") {
            plant.extend(["--fault-layer", LAYER]);
        }
        let faulty = bench.run(&model, &plant);
        let (first, _) = first_difference(&clean, &faulty)
            .unwrap_or_else(|| panic!("fault `{}` changes nothing", fault.name));
        let phase = if first.record.step == Some(0) {
            "prefill"
        } else {
            "decode"
        };
        println!("{:<24} {:<22} {phase}", fault.name, first.record.checkpoint);
        assert_eq!(
            first.record.checkpoint,
            fault.first.replace("{L}", LAYER),
            "fault `{}`",
            fault.name
        );
        assert_eq!(phase, fault.phase, "fault `{}`", fault.name);
    }
}

#[test]
fn one_token_is_faulty_when_one_is_asked_for() {
    let bench = Bench::new();
    for fault in all().filter(|fault| fault.by_token) {
        let Some(model) = model_for(fault, bench.folder.path()) else {
            return;
        };
        let clean = bench.run(&model, &[]);
        // A token of the prompt, or of the third decode step.
        let (token, row) = if fault.phase == "prefill" {
            ("4", 4)
        } else {
            ("9", 0)
        };
        let mut plant = vec!["--fault", fault.name, "--fault-token", token];
        if fault.first.contains("{L}") {
            plant.extend(["--fault-layer", LAYER]);
        }
        let faulty = bench.run(&model, &plant);
        let (first, rows) = first_difference(&clean, &faulty)
            .unwrap_or_else(|| panic!("fault `{}` at one token changes nothing", fault.name));
        assert_eq!(
            first.record.checkpoint,
            fault.first.replace("{L}", LAYER),
            "fault `{}`",
            fault.name
        );
        assert_eq!(rows, [row], "fault `{}`", fault.name);
        assert_eq!(
            first.record.token_idx + row as i64,
            token.parse::<i64>().unwrap(),
            "fault `{}`",
            fault.name
        );
    }
}

#[test]
fn without_a_layer_the_first_layer_is_faulty_already() {
    let bench = Bench::new();
    let Some(model) = tiny_model(bench.folder.path(), Architecture::Llama) else {
        return;
    };
    let clean = bench.run(&model, &[]);
    let faulty = bench.run(&model, &["--fault", "rope-pairing"]);
    assert_eq!(
        first_difference(&clean, &faulty)
            .unwrap()
            .0
            .record
            .checkpoint,
        "layer_0_q_rope"
    );
}

#[test]
fn parameters_are_obeyed() {
    let bench = Bench::new();
    let Some(model) = tiny_model(bench.folder.path(), Architecture::Llama) else {
        return;
    };
    let clean = bench.run(&model, &[]);
    // The tiny llama's own values: planting them changes nothing.
    for same in [
        "rope-base,base=10000",
        "rope-position-offset,offset=0",
        "rms-eps,eps=1e-5",
    ] {
        let faulty = bench.run(&model, &["--fault", same]);
        assert!(first_difference(&clean, &faulty).is_none(), "{same}");
    }
    for other in [
        "rope-base,base=10001",
        "rope-position-offset,offset=2",
        "rms-eps,eps=1.1e-5",
    ] {
        let faulty = bench.run(&model, &["--fault", other]);
        assert!(first_difference(&clean, &faulty).is_some(), "{other}");
    }
}

#[test]
fn a_constant_position_offset_leaves_scores_as_they_are() {
    let bench = Bench::new();
    let Some(model) = tiny_model(bench.folder.path(), Architecture::Llama) else {
        return;
    };
    let clean = bench.run(&model, &[]);
    let faulty = bench.run(&model, &["--fault", "rope-position-offset,offset=3"]);
    for (clean, faulty) in clean.iter().zip(&faulty) {
        let difference: f64 = clean
            .numbers
            .iter()
            .zip(&faulty.numbers)
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum();
        let total: f64 = clean.numbers.iter().map(|a| f64::from(*a).powi(2)).sum();
        let rotated = clean.record.checkpoint.ends_with("_rope");
        let error = (difference / total).sqrt();
        // Token ids, read as f32 here, are so small that their squares are zero.
        let as_expected = if rotated {
            error > 0.1
        } else {
            error < 1e-5 || error.is_nan()
        };
        assert!(as_expected, "{}: {error:e}", clean.record.checkpoint);
    }
}

#[test]
fn what_cannot_be_planted_is_explained() {
    let bench = Bench::new();
    let Some(model) = tiny_model(bench.folder.path(), Architecture::Llama) else {
        return;
    };
    let model = model.to_str().unwrap();
    for (plant, parts) in [
        (
            &["--fault", "rope-paring"][..],
            &["unknown fault `rope-paring`", "rope-pairing"][..],
        ),
        (
            &["--fault", "rope-pairing,base=1"],
            &["no parameter `base`", "no parameters"],
        ),
        (&["--fault", "rope-base,base=x"], &["`base=x`"]),
        (&["--fault", "rope-base,10"], &["not key=value"]),
        (
            &["--fault", "rope-pairing", "--fault-layer", "3"],
            &["no layer 3", "3 (0 to 2)"],
        ),
        (
            &["--fault", "rope-pairing", "--fault-layer", "x"],
            &["--fault-layer `x`"],
        ),
        (
            &["--fault", "missing-qkv-bias"],
            &["would change nothing", "attn_q.bias"],
        ),
        (
            &["--fault", "transposed-weight", "--fault-token", "1"],
            &["leave --fault-token out"],
        ),
    ] {
        let mut args = vec!["generate", "-m", model, "--prompt-tokens", PROMPT];
        args.extend(plant);
        let output = worker(None, &args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{plant:?}: {message}");
        for part in parts {
            assert!(
                message.contains(part),
                "{plant:?}: no {part:?} in {message}"
            );
        }
    }
}
