//! Products as kernels on a GPU compute them, held against blocks worked out by hand and against kernels written here.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use half::f16;
use orch_log::Filter;
use parity::recompute::{
    Arithmetic, Blocks, Failure, Hparams, Hypothesis, Inputs, Metadata, TensorInfo, Weight,
    Weights, multiply, operation, recompute,
};
use parity::report::v1::{Report, Verification};
use parity::tensor::Dense;
use parity::trace::Index;
use parity::verify::{Options as VerifyOptions, verify};
use parity::{Error, Options, compare_with_model};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;
use support::{Folder, noise, record};

/// A model of which there is one matrix, for queries of one head.
struct Model {
    hparams: Hparams,
    blocks: Blocks,
}

struct Keys {
    inputs: usize,
}

impl Metadata for Keys {
    fn number(&self, key: &str) -> Option<f64> {
        Some(match key {
            "llama.block_count" | "llama.attention.head_count" => 1.0,
            "llama.embedding_length" => self.inputs as f64,
            "llama.attention.layer_norm_rms_epsilon" => 1e-5,
            _ => return None,
        })
    }

    fn text(&self, key: &str) -> Option<String> {
        (key == "general.architecture").then(|| "llama".to_owned())
    }
}

const MATRIX: &str = "blk.0.attn_q.weight";

impl Model {
    fn new(dtype: &str, blocks: Blocks) -> Self {
        let inputs = blocks.inputs;
        let info = TensorInfo {
            shape: vec![blocks.integers.len() / inputs, inputs],
            dtype: dtype.to_owned(),
        };
        let infos = BTreeMap::from([(MATRIX.to_owned(), info)]);
        let mut hparams = Hparams::read(&Keys { inputs }, infos).unwrap();
        hparams.head_dim = blocks.integers.len() / inputs;
        Self { hparams, blocks }
    }

    /// A matrix of 64 rows without a pattern.
    fn of_noise(dtype: &str) -> Self {
        let (inputs, len) = (64, 32);
        let integers = noise(1, 64 * inputs);
        let n = integers.len() / len;
        let halves = |seed: u64, least: f32| {
            let noise = noise(seed, n).into_iter();
            noise
                .map(|x| f16::from_f32(least + 0.01 * x).to_f32())
                .collect()
        };
        Self::new(
            dtype,
            Blocks {
                inputs,
                len,
                scales: halves(2, 0.02),
                floors: halves(3, -0.15),
                integers: integers.iter().map(|x| (8.0 + 8.0 * x) as i8).collect(),
            },
        )
    }

    fn elements(&self) -> Vec<f32> {
        let blocks = &self.blocks;
        let of = |at: usize| {
            let scale = blocks.scales[at / blocks.len];
            scale * f32::from(blocks.integers[at]) + blocks.floors[at / blocks.len]
        };
        (0..blocks.integers.len()).map(of).collect()
    }

    fn product(&self, x: &[f64], arithmetic: Arithmetic) -> Result<Vec<f64>, Failure> {
        let operation = operation(&self.hparams, "layer_0_q").unwrap();
        let tokens = x.len() / self.blocks.inputs;
        let x = Dense::new(vec![tokens, self.blocks.inputs], x.to_vec()).unwrap();
        let inputs = Inputs {
            first: 0,
            tokens,
            pass_first: vec![0; tokens],
            tensors: vec![x],
        };
        let none = Hypothesis::none();
        recompute(&operation, &inputs, self, arithmetic, &none).map(|found| found.data)
    }
}

impl Weights for Model {
    fn hparams(&self) -> &Hparams {
        &self.hparams
    }

    fn tensor(&self, name: &str) -> Result<Option<Weight>, Error> {
        let info = self.hparams.tensors.get(name);
        Ok(info.map(|info| Weight {
            shape: info.shape.clone(),
            data: self.elements().into(),
            dtype: info.dtype.clone(),
        }))
    }

    fn blocks(&self, _: &str, rows: Range<usize>) -> Result<Option<Blocks>, Error> {
        let (inputs, len) = (self.blocks.inputs, self.blocks.len);
        let blocks = rows.start * inputs / len..rows.end * inputs / len;
        Ok(Some(Blocks {
            inputs,
            len,
            scales: self.blocks.scales[blocks.clone()].to_vec(),
            floors: self.blocks.floors[blocks].to_vec(),
            integers: self.blocks.integers[rows.start * inputs..rows.end * inputs].to_vec(),
        }))
    }

    fn matmul(&self, _: &str, x: &Dense, _: Arithmetic) -> Result<Option<Dense>, Error> {
        let data = multiply(&x.data, self.blocks.inputs, &self.elements());
        Ok(Dense::new(vec![x.n_rows(), self.hparams.head_dim], data))
    }
}

/// One row of one block of 32.
fn one_block(dtype: &str, scale: f32, floor: f32, integers: &[(usize, i8)]) -> Model {
    let mut all = vec![0; 32];
    integers.iter().for_each(|(at, value)| all[*at] = *value);
    let blocks = Blocks {
        inputs: 32,
        len: 32,
        scales: vec![scale],
        floors: vec![floor],
        integers: all,
    };
    Model::new(dtype, blocks)
}

/// 127 and 31 times 0.4: a step of 1, integers 127, 0, 0, …, and a sum of 139.4, which is 139.375 in f16 (eighths there).
fn activations() -> Vec<f64> {
    let mut x = vec![f64::from(0.4_f32); 32];
    x[0] = 127.0;
    x
}

#[track_caller]
fn gives(model: &Model, arithmetic: Arithmetic, expected: f64) {
    let found = model.product(&activations(), arithmetic).unwrap()[0];
    assert!(
        (found - expected).abs() <= 1e-9 * expected.abs(),
        "{}: {found} instead of {expected}",
        arithmetic.name()
    );
}

#[test]
fn floors_meet_the_sum_before_it_was_rounded() {
    // 0.5 · 1 · (3 · 127) is 190.5; the floor -2.099609375 is of f16, and times 139.375 it is -292.6330566: quarters in f16, so -292.75.
    let (floor, product) = (-2.099_609_4_f32, -2.099_609_375 * 139.375);
    let model = one_block("q4_1", 0.5, floor, &[(0, 3), (1, 9)]);
    gives(&model, Arithmetic::CudaVectors, 190.5 - 292.75);
    gives(&model, Arithmetic::CandleVectors, 190.5 + product);
    gives(&model, Arithmetic::CudaTiles, 190.5 + product);
    // Q4_0 is -8 scales; tiles subtract 8 from the integers: what is rounded to 0 stays 0.
    let model = one_block("q4_0", 0.5, -4.0, &[(0, 3), (1, 9)]);
    gives(&model, Arithmetic::CudaVectors, 190.5 - 4.0 * 139.375);
    gives(&model, Arithmetic::CudaTiles, 0.5 * (3.0 - 8.0) * 127.0);
    let again = model.product(&activations(), Arithmetic::CandleVectors);
    assert!(matches!(again, Err(Failure::NotEmulated(_))));
}

#[test]
fn blocks_of_k_quants_have_scales_of_f16_in_tiles() {
    // 1229 / 4096 is the number of f16 next to 0.3001.
    let model = one_block("q4_k", 0.3001, -2.0, &[(0, 2)]);
    gives(
        &model,
        Arithmetic::CudaVectors,
        2.0 * 127.0 * f64::from(0.3001_f32) - 2.0 * 127.0,
    );
    let half = 1229.0 / 4096.0;
    gives(
        &model,
        Arithmetic::CudaTiles,
        2.0 * 127.0 * half - 2.0 * 139.375,
    );
}

#[test]
fn candle_rounds_sums_twice() {
    // 31 activations of 100 and one of 127: integers 100 and 127, 3227 together, which is 3228 in f16 (steps of 2, ties to even).
    let model = one_block("q4_1", 0.5, -1.0, &[(0, 2)]);
    let mut x = vec![100.0; 32];
    x[0] = 127.0;
    let found = model.product(&x, Arithmetic::CandleSums).unwrap()[0];
    assert!(
        (found - (0.5 * 2.0 * 127.0 - 3228.0)).abs() < 1e-6,
        "{found}"
    );
}

#[test]
fn steps_are_of_f16_in_vectors_only() {
    // A largest activation of 127.05 makes a step of 1.00039…, in f16 1.
    let model = one_block("q8_0", 1.0, 0.0, &[(0, 100)]);
    let mut x = vec![0.0; 32];
    x[0] = f64::from(127.05_f32);
    let vectors = model.product(&x, Arithmetic::CudaVectors).unwrap()[0];
    assert!((vectors - 12_700.0).abs() < 1e-6, "{vectors}");
    let tiles = model.product(&x, Arithmetic::CudaTiles).unwrap()[0];
    assert!((tiles - 12_705.0).abs() < 2e-3, "{tiles}");
}

#[test]
fn one_token_and_weights_of_f16_are_summed_in_f16() {
    // 576 elements are two steps of 160 threads with two each: elements 0 and 320 have one sum, and 2048 + 1 is 2048 in f16.
    let mut blocks = Blocks {
        inputs: 576,
        len: 576,
        scales: vec![1.0],
        floors: vec![0.0],
        integers: vec![0; 576],
    };
    [0, 1, 320].iter().for_each(|at| blocks.integers[*at] = 1);
    let model = Model::new("f16", blocks);
    let mut x = vec![0.0; 576];
    (x[0], x[1], x[320]) = (2048.0, 1.0, 1.0);
    assert_eq!(model.product(&x, Arithmetic::F64).unwrap(), [2050.0]);
    assert_eq!(
        model.product(&x, Arithmetic::CudaVectors).unwrap(),
        [2049.0]
    );
}

/// How a kernel written here differs from another.
#[derive(Clone, Copy)]
struct Kernel {
    /// Rounds x / d, and not x · (127 / largest).
    divides: bool,
    /// Multiplies scales and floors in f16.
    halves: bool,
}

const LLAMA_VECTORS: Kernel = Kernel {
    divides: true,
    halves: true,
};
const TILES: Kernel = Kernel {
    divides: false,
    halves: false,
};

/// Q4_1 on a GPU: all in f32, one row after the other.
fn kernel(model: &Model, x: &[f32], kernel: Kernel) -> Vec<f32> {
    let half = |x: f32| f16::from_f32(x).to_f32();
    let product = |a: f32, b: f32| if kernel.halves { half(a * b) } else { a * b };
    let blocks = &model.blocks;
    let mut out = Vec::new();
    for row in x.chunks(64) {
        for output in 0..64 {
            let mut sum = 0.0_f32;
            for (block, x) in row.chunks(32).enumerate() {
                let largest = x.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
                let step = largest / 127.0;
                let integer = |x: f32| match kernel.divides {
                    true => (x / step).round(),
                    false => (x * (127.0 / largest)).round(),
                };
                let at = output * 64 + block * 32;
                let dot: f32 = (0..32)
                    .map(|i| integer(x[i]) * f32::from(blocks.integers[at + i]))
                    .sum();
                // 127 integers of 15 are far below 2²⁴: exact. The order of this sum shows in the last bit of an f16 at most.
                let whole = half(x.iter().map(|x| f64::from(*x)).sum::<f64>() as f32);
                let (scale, floor) = (blocks.scales[at / 32], blocks.floors[at / 32]);
                sum += product(scale, half(step)) * dot + product(floor, whole);
            }
            out.push(sum);
        }
    }
    out
}

/// Passes of these kernels and numbers of tokens, of rows of `x`.
fn run(model: &Model, x: &[f32], passes: &[(Kernel, usize)]) -> Vec<(Range<usize>, Vec<f32>)> {
    let mut first = 0;
    let passes = passes.iter().map(|(with, tokens)| {
        let rows = first..first + tokens;
        first = rows.end;
        let out = kernel(model, &x[rows.start * 64..rows.end * 64], *with);
        (rows, out)
    });
    passes.collect()
}

struct Traces {
    folder: Folder,
    x: Vec<f32>,
}

impl Traces {
    fn new() -> Self {
        // One in thirty is large, as in streams of real models.
        let mut x = noise(4, 64 * 12);
        x.iter_mut().step_by(31).for_each(|x| *x *= 20.0);
        Self {
            folder: Folder::new(),
            x,
        }
    }

    fn write(&self, name: &str, device: &str, passes: &[(Range<usize>, Vec<f32>)]) {
        let about = json!({"format_version": 1, "team": "test", "device": device,
            "model": {"sha256": "aa", "architecture": "llama", "layers": 1, "weights": "Q4_1"},
            "settings": {"kv_type": "f32", "flash_attn": "off"}});
        let bytes = about.to_string();
        self.folder
            .write_bytes(&format!("{name}.run.json"), bytes.as_bytes());
        let mut lines = Vec::new();
        for (step, (rows, out)) in passes.iter().enumerate() {
            let (first, n) = (rows.start as i64, rows.len());
            let x = &self.x[rows.start * 64..rows.end * 64];
            for (name, data, shape) in [
                ("layer_0_attn_norm", x, vec![n, 64]),
                ("layer_0_q", out.as_slice(), vec![n, 1, 64]),
            ] {
                let line = record(name, first, data).shape(&shape).n_tokens(n);
                lines.push(line.step(step as u64));
            }
        }
        self.folder.write(&format!("{name}.jsonl"), &lines);
    }

    fn open(&self, name: &str) -> parity::trace::Trace {
        parity::trace::Trace::open(self.folder.path(&format!("{name}.jsonl"))).unwrap()
    }

    fn verify(&self, model: &Model, name: &str) -> Verification {
        let trace = self.open(name);
        let hparams = model.hparams.clone().for_run(trace.run().info());
        let model = Model {
            hparams,
            blocks: model.blocks.clone(),
        };
        let index = Index::new(&trace).unwrap();
        let options = VerifyOptions {
            filter: Filter::new("layer_0_q"),
            limit: None,
        };
        verify(&index, &model, &options, &mut |_| {}).unwrap()
    }

    fn compare(&self, model: &Model) -> Report {
        let (reference, candidate) = (self.open("ref"), self.open("cand"));
        let options = Options::default();
        compare_with_model(&reference, &candidate, &options, Some(model), &mut |_| {}).unwrap()
    }
}

#[test]
fn what_a_gpu_computed_follows_pass_by_pass() {
    let (model, traces) = (Model::of_noise("q4_1"), Traces::new());
    let passes = run(
        &model,
        &traces.x,
        &[(TILES, 10), (LLAMA_VECTORS, 1), (LLAMA_VECTORS, 1)],
    );
    traces.write("gpu", "cuda:0 NVIDIA H200", &passes);
    let found = traces.verify(&model, "gpu");
    let q = &found.operations[0];
    assert!(q.follows && q.rows == 12, "{q:?}");
    assert!(q.relative.0 < 1e-6 && q.limit.0 <= 1e-5, "{q:?}");
    assert!(q.arithmetic.starts_with("cuda"), "{q:?}");
    // The same numbers cannot be what a CPU made of these inputs.
    traces.write("cpu", "cpu", &passes);
    let q = &traces.verify(&model, "cpu").operations[0];
    assert!(!q.follows && q.relative.0 > 1e-3, "{q:?}");
}

#[test]
fn an_activation_between_two_integers_may_become_either() {
    let (model, mut traces) = (Model::of_noise("q4_1"), Traces::new());
    // A step of 20 / 127; this one lies 5.5 steps from 0 but for a rounding, and is rounded down here and up there.
    let middle = 5.5 * 20.0 / 127.0;
    traces.x[..64].fill(0.25);
    (traces.x[0], traces.x[7]) = (20.0, middle * (1.0 - 1e-7));
    let down = run(&model, &traces.x, &[(TILES, 12)]);
    traces.x[7] = middle * (1.0 + 2e-7);
    let up = run(&model, &traces.x, &[(TILES, 12)]);
    let distance: f64 = down[0].1[..64]
        .iter()
        .zip(&up[0].1[..64])
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum();
    assert!(distance.sqrt() > 1e-3, "the step shows: {distance}");
    traces.write("gpu", "cuda:0", &down);
    let q = &traces.verify(&model, "gpu").operations[0];
    assert!(q.follows && q.relative.0 < 1e-6, "{q:?}");
}

#[test]
fn a_gpu_and_a_cpu_agree_and_a_mistake_on_either_is_found() {
    let (model, traces) = (Model::of_noise("q4_1"), Traces::new());
    // The CPU's arithmetic is f64 here.
    let x: Vec<f64> = traces.x.iter().map(|x| f64::from(*x)).collect();
    let exact = model.product(&x, Arithmetic::F64).unwrap();
    let exact: Vec<f32> = exact.iter().map(|x| *x as f32).collect();
    // Four passes: what an engine does in half of them is its arithmetic.
    let of_gpu = || run(&model, &traces.x, &[(LLAMA_VECTORS, 3); 4]);
    let parts = exact.chunks(3 * 64).enumerate();
    let passes: Vec<_> = parts
        .map(|(at, part)| (3 * at..3 * (at + 1), part.to_vec()))
        .collect();
    traces.write("ref", "cpu", &passes);
    traces.write("cand", "cuda:0", &of_gpu());
    let report = traces.compare(&model);
    assert_eq!(report.verdict, "rounding", "{:?}", report.reasons);
    let q = report
        .checkpoints
        .iter()
        .find(|row| row.checkpoint == "layer_0_q");
    let q = q.unwrap();
    assert!(q.worst_relative_rmse.0 > 5e-3, "{q:?}");
    let local = q.local.as_ref().unwrap();
    assert_eq!(local.floor, "recomputed");
    assert!(local.error.0 < 1e-6, "{local:?}");

    // The last pass leaves out the 64th input: less than the two devices differ by without that.
    let mut wrong = of_gpu();
    let mut x = traces.x[9 * 64..].to_vec();
    x.iter_mut().skip(63).step_by(64).for_each(|x| *x = 0.0);
    wrong[3].1 = kernel(&model, &x, LLAMA_VECTORS);
    traces.write("cand", "cuda:0", &wrong);
    let report = traces.compare(&model);
    assert_eq!(report.verdict, "diverged", "{:?}", report.reasons);
    assert_eq!(report.origins[0].checkpoints, ["layer_0_q"]);
    let q = &traces.verify(&model, "cand").operations[0];
    assert!(!q.follows, "{q:?}");

    // A thousandth, up and down in turn: fifty times less than that.
    let mut wrong = of_gpu();
    for (at, y) in wrong[3].1.iter_mut().enumerate() {
        *y *= if at % 2 == 0 { 1.001 } else { 0.999 };
    }
    traces.write("cand", "cuda:0", &wrong);
    let report = traces.compare(&model);
    assert_eq!(report.verdict, "diverged", "{:?}", report.reasons);
    let found = report.origins[0].local.as_ref().unwrap().error.0;
    assert!((found / 1e-3 - 1.0).abs() < 1e-3, "{found}");

    let two = [("ref", "cuda:0", of_gpu()), ("cand", "cuda:0", of_gpu())];
    two.iter()
        .for_each(|(name, device, passes)| traces.write(name, device, passes));
    assert_eq!(traces.compare(&model).verdict, "match");
}
