//! Real traces, and the same under other names and in other layouts.

use orch_log::format::Event;
use orch_log::{Detail, Logged, Recorder, Settings};
use parity::tensor::Numbers;
use parity::trace::{Entry, Trace};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

/// Runs `parity`.
pub(crate) fn parity(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parity"))
        .args(args)
        .output()
        .expect("the binary starts")
}

fn succeed(args: &[&str]) {
    let output = parity(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The real model that `./test` fetches.
pub(crate) fn donor() -> PathBuf {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let path = std::env::var_os("NUMERIC_PARITY_MODEL").map_or(
        home.join(".cache/numeric-parity/models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "no model: run ./test, which fetches it, or set NUMERIC_PARITY_MODEL"
    );
    path
}

/// All files of these tests; gone with the process.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| tempfile::tempdir().expect("a temporary folder"))
        .path()
}

fn in_folder(name: &str) -> PathBuf {
    folder().join(name)
}

/// A file of this process that no other test has.
fn fresh(stem: &str) -> PathBuf {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    in_folder(&format!(
        "{stem}-{}.jsonl",
        NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    ))
}

/// Two runs of one model on the same tokens that do not compute the same bits.
pub(crate) struct Traces {
    pub(crate) reference: PathBuf,
    pub(crate) candidate: PathBuf,
}

impl Traces {
    /// Of a tiny random model: F32 against other weights, or against itself with other rounding where these are `f32`.
    pub(crate) fn tiny(architecture: &str, weights: &str) -> Self {
        let model = fresh(architecture).with_extension("gguf");
        succeed(&[
            "models",
            "tiny",
            &text(&model),
            "-a",
            architecture,
            "-d",
            &text(&donor()),
        ]);
        Self::of_model(&model, weights)
    }

    /// Of any model, whose own weights are the reference's.
    pub(crate) fn of_model(model: &Path, weights: &str) -> Self {
        let (reference, candidate) = (fresh("reference"), fresh("candidate"));
        let other = if weights == "f32" {
            model.to_owned()
        } else {
            let other = candidate.with_extension("gguf");
            succeed(&[
                "models",
                "convert",
                &text(model),
                &text(&other),
                "--weights",
                weights,
            ]);
            other
        };
        let capture = |model: &Path, trace: &Path, more: &[&str]| {
            let (model, trace) = (text(model), text(trace));
            let mut args = vec![
                "capture", "llama", "-m", &model, "-o", &trace, "-t", "1", "--detail", "full",
            ];
            args.extend(more);
            succeed(&args);
        };
        capture(
            model,
            &reference,
            &[
                "-p",
                "Powerful threads dance",
                "-n",
                "4",
                "--kv-type",
                "f32",
            ],
        );
        // A cache of half precision is the rounding that two sound engines differ by at most.
        capture(
            &other,
            &candidate,
            &["--force-tokens", &text(&reference), "--kv-type", "f16"],
        );
        Self {
            reference,
            candidate,
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A trace under names that say nothing.
pub(crate) struct Scrambled {
    pub(crate) path: PathBuf,
    /// The true name of each.
    pub(crate) true_names: HashMap<String, String>,
}

/// A number that looks random, from a seed and a name (FNV-1a, mixed).
pub(crate) fn dice(seed: u64, name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17
}

/// Writes the records whose name `keep` likes, under new names.
fn rewritten(trace: &Path, stem: &str, name_of: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let path = fresh(stem);
    let mut lines = String::new();
    for line in fs::read_to_string(trace).expect("a trace").lines() {
        let rest = line.strip_prefix(r#"{"checkpoint":""#).expect("a record");
        let (name, rest) = rest.split_once('"').expect("a name");
        let new = if name == "tokens" {
            Some(name.to_owned())
        } else {
            name_of(name)
        };
        if let Some(new) = new {
            lines += &format!("{{\"checkpoint\":\"{new}\"{rest}\n");
        }
    }
    fs::write(&path, lines).expect("writable");
    path
}

/// The same trace, names replaced by letters that say nothing.
pub(crate) fn scrambled(trace: &Path, seed: u64, keep: &dyn Fn(&str) -> bool) -> Scrambled {
    let new = |name: &str| {
        let letters = format!("{:x}", dice(seed, name));
        letters
            .bytes()
            .map(|byte| char::from(b'a' + byte % 23))
            .collect::<String>()
            + &format!("{:x}", dice(!seed, name))
    };
    let path = rewritten(trace, "scrambled", &|name| keep(name).then(|| new(name)));
    let true_names = names(trace)
        .into_iter()
        .filter(|name| keep(name))
        .map(|name| (new(&name), name))
        .collect();
    Scrambled { path, true_names }
}

/// The same trace without some of its names.
pub(crate) fn kept(trace: &Path, keep: &dyn Fn(&str) -> bool) -> PathBuf {
    rewritten(trace, "kept", &|name| keep(name).then(|| name.to_owned()))
}

/// The same trace under names of another vocabulary.
pub(crate) fn renamed(trace: &Path, new: &dyn Fn(&str) -> String) -> PathBuf {
    rewritten(trace, "renamed", &|name| Some(new(name)))
}

fn names(trace: &Path) -> Vec<String> {
    let text = fs::read_to_string(trace).expect("a trace");
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.split('"').nth(3)?.to_owned()))
        .filter(|name| name != "tokens")
        .collect();
    names.sort();
    names.dedup();
    names
}

impl Scrambled {
    /// The lines in an order that has nothing to do with the pass.
    pub(crate) fn shuffled(self) -> Self {
        let text = fs::read_to_string(&self.path).expect("a trace");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_key(|line| dice(1, line));
        fs::write(&self.path, lines.join("\n") + "\n").expect("writable");
        self
    }
}

/// One tensor of a trace.
struct Tensor {
    name: String,
    token_idx: i64,
    step: u64,
    shape: Vec<usize>,
    data: Vec<f32>,
}

fn tensors(trace: &Path) -> Vec<Tensor> {
    let trace = Trace::open(trace).expect("a trace");
    let mut records = trace.records().expect("readable");
    let mut tensors = Vec::new();
    while let Some(entry) = records.next().expect("readable") {
        let Entry::Record(located) = entry else {
            panic!("a sound trace");
        };
        let record = &located.record;
        let mut data = record.values.clone();
        if let Some(payload) = trace.payload(record) {
            data.clear();
            let payload = payload.expect("a sound payload");
            payload
                .read(0, payload.available() as usize, &mut data)
                .expect("readable");
        }
        tensors.push(Tensor {
            name: record.checkpoint.clone(),
            token_idx: record.token_idx,
            step: record.step.expect("our traces have steps"),
            shape: record.shape.clone(),
            data: data.iter().map(|value| *value as f32).collect(),
        });
    }
    tensors
}

fn recorder(path: &Path) -> Arc<Recorder> {
    let mut settings = Settings::new(path, "another engine");
    settings.detail = Detail::Full;
    Arc::new(Recorder::create(settings).expect("a writable folder"))
}

/// As an engine logs it that keeps heads before tokens, and pairs other lanes when it rotates.
pub(crate) fn rearranged(trace: &Path) -> PathBuf {
    let path = fresh("rearranged");
    let recorder = recorder(&path);
    for tensor in tensors(trace) {
        let Tensor {
            name,
            token_idx,
            step,
            mut shape,
            mut data,
        } = tensor;
        let tokens = shape[0];
        let event = |axis: usize| {
            Event::new(&name, token_idx)
                .n_tokens(tokens)
                .step(step)
                .token_axis(axis)
        };
        if let [tokens, heads, width] = shape[..] {
            let is_rotated = ["_q", "_k", "_q_rope", "_k_rope"]
                .iter()
                .any(|end| name.ends_with(end));
            let lane = |lane: usize| {
                if is_rotated {
                    (lane % (width / 2)) * 2 + lane / (width / 2)
                } else {
                    lane
                }
            };
            let at = |index: usize| {
                let (head, token, column) = (
                    index / (tokens * width),
                    index / width % tokens,
                    index % width,
                );
                data[(token * heads + head) * width + lane(column)]
            };
            data = (0..data.len()).map(at).collect();
            shape = vec![heads, tokens, width];
            assert_eq!(
                recorder.log(&event(1).shape(&shape), &data),
                Logged::Written
            );
        } else if name == "tokens" {
            let ids: Vec<i32> = data.iter().map(|id| *id as i32).collect();
            assert_eq!(recorder.log(&event(0), &ids), Logged::Written);
        } else {
            assert_eq!(
                recorder.log(&event(0).shape(&shape), &data),
                Logged::Written
            );
        }
    }
    path
}

/// As an engine logs it that computes one token a pass. Scores, whose width would grow with each, are left out.
pub(crate) fn single_tokens(trace: &Path) -> PathBuf {
    let path = fresh("single");
    let recorder = recorder(&path);
    for Tensor {
        name,
        token_idx,
        shape,
        data,
        ..
    } in tensors(trace)
    {
        if name.ends_with("attn_scores") || name.ends_with("attn_probs") {
            continue;
        }
        let tokens = shape[0];
        for (row, values) in data.chunks(data.len() / tokens).enumerate() {
            let position = token_idx as usize + row;
            let event = Event::new(&name, position as i64).step(position as u64);
            let mut one = shape.clone();
            one[0] = 1;
            let logged = if name == "tokens" {
                recorder.log(&event, &[values[0] as i32])
            } else {
                recorder.log(&event.shape(&one), values)
            };
            assert_eq!(logged, Logged::Written);
        }
    }
    path
}
