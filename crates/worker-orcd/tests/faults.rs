//! Every planted fault shows first where the table says, and nowhere before.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test tells by panicking and printing"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::{Full, read_trace, tiny_model, worker, worker_ok};
use ggml_capture::models::{Architecture, Weights, convert};
use worker_orcd::config::Config;
use worker_orcd::faults::{Fault, all};
use worker_orcd::gguf::GgufFile;

/// A prompt of seven tokens and five decode steps, the same for every run.
const PROMPT: &str = "17, 3, 250, 41, 99, 8, 301";
const CONTINUATION: &str = "5, 77, 410, 12, 200";

/// The faulty layer: neither the first nor the last of three.
const LAYER: &str = "1";

struct Bench {
    folder: tempfile::TempDir,
    continuation: PathBuf,
    runs: Cell<usize>,
    clean: RefCell<HashMap<PathBuf, Rc<Vec<Full>>>>,
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
            clean: RefCell::default(),
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

    /// The run without a fault, made once for each model.
    fn clean(&self, model: &Path) -> Rc<Vec<Full>> {
        if let Some(clean) = self.clean.borrow().get(model) {
            return Rc::clone(clean);
        }
        let clean = Rc::new(self.run(model, &[]));
        let mut all = self.clean.borrow_mut();
        all.insert(model.to_owned(), Rc::clone(&clean));
        clean
    }
}

/// The tiny models that faults are tested on: each fault on the first that has what it needs.
struct Models(Vec<(&'static str, PathBuf)>);

impl Models {
    fn make(folder: &Path) -> Option<Self> {
        let of = |architecture| tiny_model(folder, architecture);
        let qwen2 = of(Architecture::Qwen2)?;
        let stored = |name: &str, weights| {
            let path = folder.join(name);
            convert(&qwen2, &path, weights).unwrap();
            path
        };
        Some(Self(vec![
            ("qwen2 q8_0", stored("q8_0.gguf", Weights::Q8_0)),
            ("qwen2 q4_0", stored("q4_0.gguf", Weights::Q4_0)),
            ("qwen2 q4_1", stored("q4_1.gguf", Weights::Q4_1)),
            ("gpt2", of(Architecture::Gpt2)?),
            ("qwen3", of(Architecture::Qwen3)?),
            ("llama", of(Architecture::Llama)?),
            ("qwen2", qwen2),
        ]))
    }

    /// The last of them that has what `fault` needs, so that only those are tested on a special one that need it.
    fn for_fault(&self, fault: &Fault) -> (&'static str, &Path) {
        let fits = |path: &Path| {
            let mut file = GgufFile::open(path).unwrap();
            let config = Config::read(&mut file).unwrap();
            fault.check(&config, &file).is_ok()
        };
        let found = self.0.iter().rev().find(|(_, path)| fits(path));
        let (name, path) = found.unwrap_or_else(|| panic!("no model for `{}`", fault.name));
        (name, path)
    }
}

/// Root mean square of the difference over that of the clean tensor.
fn relative_error(clean: &Full, faulty: &Full) -> f64 {
    let pairs = clean.numbers.iter().zip(&faulty.numbers);
    let (mut difference, mut total) = (0.0, 0.0);
    for (a, b) in pairs {
        difference += (f64::from(*a) - f64::from(*b)).powi(2);
        total += f64::from(*a).powi(2);
    }
    (difference / total).sqrt()
}

fn plant(fault: &Fault, extra: &[&'static str]) -> Vec<&'static str> {
    let mut plant = vec!["--fault", fault.name];
    if fault.first.contains("{L}") {
        plant.extend(["--fault-layer", LAYER]);
    }
    plant.extend(extra);
    plant
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// The first record that differs.
struct Difference<'a> {
    clean: &'a Full,
    faulty: &'a Full,
    /// The rows (tokens) in which it does.
    rows: Vec<usize>,
}

impl Difference<'_> {
    fn phase(&self) -> &'static str {
        match self.faulty.record.step {
            Some(0) => "prefill",
            _ => "decode",
        }
    }
}

/// The first record that differs by a bit.
fn first_difference<'a>(clean: &'a [Full], faulty: &'a [Full]) -> Option<Difference<'a>> {
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
        Some(Difference {
            clean,
            faulty,
            rows: differing,
        })
    })
}

#[test]
fn each_shows_first_where_the_table_says() {
    let bench = Bench::new();
    let Some(models) = Models::make(bench.folder.path()) else {
        return;
    };
    println!(
        "{:<28} {:<28} {:<11} {:<22} {:<8} relative error",
        "fault", "family", "model", "first checkpoint", "phase"
    );
    for fault in all() {
        let (name, model) = models.for_fault(fault);
        let clean = bench.clean(model);
        let faulty = bench.run(model, &plant(fault, &[]));
        let first = first_difference(&clean, &faulty)
            .unwrap_or_else(|| panic!("fault `{}` changes nothing", fault.name));
        let checkpoint = &first.faulty.record.checkpoint;
        println!(
            "{:<28} {:<28} {name:<11} {checkpoint:<22} {:<8} {:.1e}",
            fault.name,
            fault.family,
            first.phase(),
            relative_error(first.clean, first.faulty),
        );
        let expected = fault.first.replace("{L}", LAYER);
        assert_eq!(*checkpoint, expected, "fault `{}`", fault.name);
        assert_eq!(first.phase(), fault.phase, "fault `{}`", fault.name);
    }
}

/// Planted everywhere. No two may be one mistake under two names: in the same model they give different numbers.
#[test]
fn without_a_layer_the_first_layer_is_faulty_already() {
    let bench = Bench::new();
    let Some(models) = Models::make(bench.folder.path()) else {
        return;
    };
    let mut seen: HashMap<(&Path, Vec<u32>), &str> = HashMap::new();
    for fault in all() {
        let (_, model) = models.for_fault(fault);
        let faulty = bench.run(model, &["--fault", fault.name]);
        let clean = bench.clean(model);
        let first = first_difference(&clean, &faulty).unwrap();
        assert_eq!(
            first.faulty.record.checkpoint,
            fault.first.replace("{L}", &fault.from_layer.to_string()),
            "fault `{}`",
            fault.name
        );
        let numbers = faulty.iter().flat_map(|full| bits(&full.numbers)).collect();
        if let Some(other) = seen.insert((model, numbers), fault.name) {
            panic!("`{}` and `{other}` are the same mistake", fault.name);
        }
    }
}

#[test]
fn one_token_is_faulty_when_one_is_asked_for() {
    let bench = Bench::new();
    let Some(models) = Models::make(bench.folder.path()) else {
        return;
    };
    for fault in all().filter(|fault| fault.by_token) {
        let (_, model) = models.for_fault(fault);
        // A token of the prompt, or of the third decode step.
        let (token, row) = if fault.phase == "prefill" {
            ("4", 4)
        } else {
            ("9", 0)
        };
        let faulty = bench.run(model, &plant(fault, &["--fault-token", token]));
        let clean = bench.clean(model);
        let first = first_difference(&clean, &faulty)
            .unwrap_or_else(|| panic!("fault `{}` at one token changes nothing", fault.name));
        assert_eq!(
            first.faulty.record.checkpoint,
            fault.first.replace("{L}", LAYER),
            "fault `{}`",
            fault.name
        );
        assert_eq!(first.rows, [row], "fault `{}`", fault.name);
        assert_eq!(
            first.faulty.record.token_idx + row as i64,
            token.parse::<i64>().unwrap(),
            "fault `{}`",
            fault.name
        );
    }
}

/// The families of `fault-catalogue.json` that are mistakes of an engine which the worker can make.
#[test]
fn every_family_is_there() {
    let expected = [
        "activation",
        "bias",
        "dequantisation",
        "kernel_stride_graph",
        "kv_cache_state",
        "mask",
        "norm",
        "overflow_nan_precision",
        "residual_wiring",
        "rope_frequency",
        "rope_pairing",
        "rope_positions_axes",
        "scalar_multiplier",
        "softcap_sink_bias_in_scores",
        "tokens_alignment",
        "weight_layout",
    ];
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for fault in all() {
        assert!(names.insert(fault.name), "two named `{}`", fault.name);
        *counted.entry(fault.family).or_default() += 1;
    }
    println!("{counted:?}");
    assert_eq!(counted.into_keys().collect::<Vec<_>>(), expected);
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
            &["unknown fault `rope-paring`", "rope-pairing", "lists all"][..],
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
