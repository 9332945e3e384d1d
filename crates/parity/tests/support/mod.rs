//! Traces written by hand, without the logger, so that reader and writer cannot share a mistake.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod memory;

use parity::report::v1::Report;
use parity::trace::Trace;
use parity::{Options, compare};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// One record under construction.
#[derive(Clone, Debug)]
pub(crate) struct Line(pub(crate) Value);

/// A record of `f32` values of shape `[values]`.
pub(crate) fn record(checkpoint: &str, token_idx: i64, values: &[f32]) -> Line {
    Line(json!({
        "checkpoint": checkpoint,
        "team": "test",
        "token_idx": token_idx,
        "dtype": "f32",
        "shape": format!("[{}]", values.len()),
        "values": values.iter().map(|value| number(*value)).collect::<Vec<_>>(),
    }))
}

/// The token ids of one pass.
pub(crate) fn tokens(token_idx: i64, ids: &[i32]) -> Line {
    record("tokens", token_idx, &[])
        .with("dtype", json!("i32"))
        .with("shape", json!(format!("[{}]", ids.len())))
        .with("values", json!(ids))
        .with("n_tokens", json!(ids.len()))
}

/// The shortest decimal of an `f32`; JSON's own numbers would be those of the widened `f64`.
fn number(value: f32) -> Value {
    if value.is_finite() {
        serde_json::from_str(&format!("{value:?}")).expect("a number")
    } else {
        json!(format!("{value:?}").replace("inf", "Infinity"))
    }
}

impl Line {
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.0[field] = value;
        self
    }

    pub(crate) fn shape(self, dims: &[usize]) -> Self {
        self.with("shape", json!(dims))
    }

    pub(crate) fn n_tokens(self, n: usize) -> Self {
        self.with("n_tokens", json!(n))
    }

    pub(crate) fn step(self, step: u64) -> Self {
        self.with("step", json!(step))
    }

    /// Statistics and sketch of the whole tensor, computed here.
    pub(crate) fn whole(self, values: &[f32]) -> Self {
        let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let rms = (values.iter().map(|x| x * x).sum::<f64>() / n).sqrt();
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let zero = values.iter().filter(|x| **x == 0.0).count();
        // Any fixed signs do, as long as both sides use the same.
        let sign = |index: usize, k: usize| {
            let mut x = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ (k as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x ^= x >> 27;
            if x & 1 == 0 { 1.0 } else { -1.0 }
        };
        let sketch: Vec<f64> = (0..16)
            .map(|k| values.iter().enumerate().map(|(i, x)| sign(i, k) * x).sum())
            .collect();
        self.with(
            "stats",
            json!({"n": values.len(), "nan": 0, "inf": 0, "zero": zero, "min": min, "max": max, "mean": mean, "rms": rms}),
        )
        .with("sketch", json!({"v": 1, "s": sketch}))
    }
}

/// A folder with traces.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, lines: &[Line]) -> Trace {
        let text: String = lines.iter().map(|line| format!("{}\n", line.0)).collect();
        self.write_text(name, &text)
    }

    pub(crate) fn write_text(&self, name: &str, text: &str) -> Trace {
        self.write_bytes(name, text.as_bytes());
        Trace::open(self.path(name)).expect("the trace opens")
    }

    /// Writes the run files of `NAME.jsonl` for all names.
    pub(crate) fn write_runs(&self, names: &[&str], run: &Value) {
        for name in names {
            self.write_bytes(&format!("{name}.run.json"), run.to_string().as_bytes());
        }
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("the folder is writable");
    }
}

/// A run file of a llama model with these weights.
pub(crate) fn run_of(layers: usize, weights: &str, kv_type: &str) -> Value {
    json!({"format_version": 1, "team": "test",
        "model": {"sha256": "aa", "architecture": "llama", "layers": layers, "weights": weights},
        "settings": {"kv_type": kv_type, "flash_attn": "off"}})
}

/// A record's numbers, the same for every engine but for a relative error of random sign.
pub(crate) fn off_by(seed: u64, n: usize, error: f32) -> Vec<f32> {
    let signs = noise(98 + seed, n);
    let both = noise(seed, n).into_iter().zip(signs);
    both.map(|(x, sign)| x + x.abs() * sign.signum() * error)
        .collect()
}

/// Compares with default options.
pub(crate) fn compare_with(reference: &Trace, candidate: &Trace, options: &Options) -> Report {
    compare(reference, candidate, options, &mut |_| {}).expect("both traces can be read")
}

/// Compares two lists of records.
pub(crate) fn compare_lines(reference: &[Line], candidate: &[Line]) -> Report {
    let folder = Folder::new();
    let (reference, candidate) = (
        folder.write("ref.jsonl", reference),
        folder.write("cand.jsonl", candidate),
    );
    compare_with(&reference, &candidate, &Options::default())
}

/// The codes of all findings.
pub(crate) fn codes(report: &Report) -> Vec<&str> {
    report
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

/// The finding with this code.
pub(crate) fn finding<'r>(report: &'r Report, code: &str) -> &'r parity::report::v1::Finding {
    report
        .findings
        .iter()
        .find(|finding| finding.code == code)
        .unwrap_or_else(|| panic!("no finding {code} among {:?}", codes(report)))
}

/// Numbers that look random and are the same everywhere.
pub(crate) fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// The finding of this name: several kinds share a code.
pub(crate) fn named<'r>(report: &'r Report, name: &str) -> &'r parity::report::v1::Finding {
    let mut findings = report.findings.iter();
    findings
        .find(|finding| finding.name == name)
        .unwrap_or_else(|| panic!("no finding {name} among {:?}", report.findings))
}
