//! Verifying a trace and naming a cause, with the floor beside it: the products of the block's matrices alone.
//!
//! One block as wide as SmolLM2-135M's, sixteen rows, all checkpoints, weights in memory. `cause_rope_base` is found by the
//! first rules; `unknown_projection` is off by
//! random factors, so that every rule that knows matrices is tried in vain.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::OnceLock;

use bench::{Folder, tensor};
use divan::Bencher;
use orch_log::Filter;
use parity::explain::{Outcome, Source, explain_at};
use parity::recompute::{
    Arithmetic, Hparams, Hypothesis, Inputs, Metadata, TensorInfo, Weight, Weights, multiply,
    operation, recompute,
};
use parity::tensor::Dense;
use parity::trace::{Index, Trace};
use parity::verify::{Options, verify};

const WIDTH: usize = 576;
const HIDDEN: usize = 1536;
const KEYS: usize = 192;
const VOCABULARY: usize = 4096;
const ROWS: usize = 16;

/// All that the block computes, in its order.
const CHECKPOINTS: [&str; 20] = [
    "embedding",
    "layer_0_attn_norm",
    "layer_0_q",
    "layer_0_k",
    "layer_0_v",
    "layer_0_q_rope",
    "layer_0_k_rope",
    "layer_0_attn_scores",
    "layer_0_attn_probs",
    "layer_0_attn_context",
    "layer_0_attn_out",
    "layer_0_attn_residual",
    "layer_0_ffn_norm",
    "layer_0_ffn_gate",
    "layer_0_ffn_up",
    "layer_0_ffn_act",
    "layer_0_ffn_out",
    "layer_0_output",
    "final_norm",
    "logits",
];

struct Model {
    hparams: Hparams,
    weights: BTreeMap<String, Weight>,
}

struct Keys(f64);

impl Metadata for Keys {
    fn number(&self, key: &str) -> Option<f64> {
        Some(match key {
            "llama.block_count" => 1.0,
            "llama.embedding_length" => WIDTH as f64,
            "llama.attention.head_count" => 9.0,
            "llama.attention.head_count_kv" => 3.0,
            "llama.attention.layer_norm_rms_epsilon" => 1e-5,
            "llama.rope.freq_base" => self.0,
            _ => return None,
        })
    }

    fn text(&self, key: &str) -> Option<String> {
        (key == "general.architecture").then(|| "llama".to_owned())
    }
}

impl Model {
    fn new(rope_base: f64) -> Self {
        let shapes: [(&str, &[usize]); 12] = [
            ("token_embd.weight", &[VOCABULARY, WIDTH]),
            ("blk.0.attn_norm.weight", &[WIDTH]),
            ("blk.0.attn_q.weight", &[WIDTH, WIDTH]),
            ("blk.0.attn_k.weight", &[KEYS, WIDTH]),
            ("blk.0.attn_v.weight", &[KEYS, WIDTH]),
            ("blk.0.attn_output.weight", &[WIDTH, WIDTH]),
            ("blk.0.ffn_norm.weight", &[WIDTH]),
            ("blk.0.ffn_gate.weight", &[HIDDEN, WIDTH]),
            ("blk.0.ffn_up.weight", &[HIDDEN, WIDTH]),
            ("blk.0.ffn_down.weight", &[WIDTH, HIDDEN]),
            ("output_norm.weight", &[WIDTH]),
            ("output.weight", &[VOCABULARY, WIDTH]),
        ];
        let mut infos = BTreeMap::new();
        let mut weights = BTreeMap::new();
        for (at, (name, shape)) in shapes.into_iter().enumerate() {
            let len: usize = shape.iter().product();
            let data: Vec<f32> = tensor(len + at)
                .split_off(at)
                .iter()
                .map(|x| x / 16.0)
                .collect();
            let (shape, dtype) = (shape.to_vec(), "f32".to_owned());
            infos.insert(
                name.to_owned(),
                TensorInfo {
                    shape: shape.clone(),
                    dtype: dtype.clone(),
                },
            );
            let data = data.into();
            weights.insert(name.to_owned(), Weight { shape, data, dtype });
        }
        Self {
            hparams: Hparams::read(&Keys(rope_base), infos).expect("the numbers of a llama"),
            weights,
        }
    }

    /// The forward pass, by the formulas that are to be verified.
    fn run(&self) -> BTreeMap<&'static str, Dense> {
        let ids = (0..ROWS).map(|at| (at * 37 % VOCABULARY) as f64).collect();
        let mut found = BTreeMap::from([("tokens", Dense::new(vec![ROWS], ids).expect("ids"))]);
        for name in CHECKPOINTS {
            let operation = operation(&self.hparams, name).expect("a checkpoint of a llama");
            let inputs = Inputs {
                first: 0,
                tokens: ROWS,
                pass_first: vec![0; ROWS],
                tensors: operation
                    .inputs
                    .iter()
                    .map(|input| found[input.checkpoint.as_str()].clone())
                    .collect(),
            };
            let none = Hypothesis::none();
            let made = recompute(&operation, &inputs, self, Arithmetic::F64, &none);
            let made = made.expect("all inputs are there");
            found.insert(name, made.map(|x| f64::from(x as f32)));
        }
        found
    }
}

impl Weights for Model {
    fn hparams(&self) -> &Hparams {
        &self.hparams
    }

    fn tensor(&self, name: &str) -> Result<Option<Weight>, parity::Error> {
        Ok(self.weights.get(name).cloned())
    }

    fn matmul(
        &self,
        weight: &str,
        x: &Dense,
        _: Arithmetic,
    ) -> Result<Option<Dense>, parity::Error> {
        let Some(weight) = self.weights.get(weight) else {
            return Ok(None);
        };
        let data = multiply(&x.data, weight.row_len(), &weight.data);
        Ok(Dense::new(vec![x.n_rows(), weight.shape[0]], data))
    }
}

static FOLDER: OnceLock<Folder> = OnceLock::new();

fn write(name: &str, tensors: &BTreeMap<&str, Dense>) {
    let folder = FOLDER.get_or_init(Folder::new);
    let (mut lines, mut bytes) = (String::new(), Vec::new());
    for name in ["tokens"].iter().chain(&CHECKPOINTS) {
        let dense = &tensors[name];
        let offset = bytes.len();
        let dtype = if *name == "tokens" {
            bytes.extend(dense.data.iter().flat_map(|x| (*x as i32).to_le_bytes()));
            "i32"
        } else {
            bytes.extend(dense.data.iter().flat_map(|x| (*x as f32).to_le_bytes()));
            "f32"
        };
        let _ = writeln!(
            lines,
            r#"{{"checkpoint":"{name}","team":"bench","token_idx":0,"dtype":"{dtype}","shape":{:?},"values":[],"n_tokens":{ROWS},"step":0,"payload":{{"file":"NAME.tensors","offset":{offset},"nbytes":{}}}}}"#,
            dense.shape,
            bytes.len() - offset
        );
    }
    let lines = lines.replace("NAME", name);
    std::fs::write(folder.path(&format!("{name}.jsonl")), lines).expect("a trace file");
    std::fs::write(folder.path(&format!("{name}.tensors")), bytes).expect("a payload file");
}

fn open(name: &str) -> Trace {
    let folder = FOLDER.get_or_init(Folder::new);
    Trace::open(folder.path(&format!("{name}.jsonl"))).expect("the trace opens")
}

fn main() {
    let right = Model::new(1e4).run();
    write("right", &right);
    write("rope", &Model::new(1e6).run());
    let mut random = right;
    let q = random.get_mut("layer_0_q").expect("queries");
    let noise = tensor(q.data.len()).into_iter().map(f64::from);
    q.data
        .iter_mut()
        .zip(noise)
        .for_each(|(x, noise)| *x *= 1.0 + noise / 2.0);
    write("random", &random);
    divan::main();
    if let Some(folder) = FOLDER.get() {
        let _ = std::fs::remove_dir_all(folder.path("."));
    }
}

/// Every matrix of the block once.
#[divan::bench]
fn floor_products(bencher: Bencher<'_, '_>) {
    let model = Model::new(1e4);
    let inputs: BTreeMap<usize, Vec<f64>> = [WIDTH, HIDDEN]
        .into_iter()
        .map(|width| {
            (
                width,
                tensor(ROWS * width).into_iter().map(f64::from).collect(),
            )
        })
        .collect();
    bencher.bench(|| {
        for weight in model
            .weights
            .values()
            .filter(|weight| weight.shape.len() == 2)
        {
            let width = weight.row_len();
            black_box(multiply(&inputs[&width], width, &weight.data));
        }
    });
}

#[divan::bench]
fn verify_block(bencher: Bencher<'_, '_>) {
    let (model, trace) = (Model::new(1e4), open("right"));
    let options = Options {
        filter: Filter::new(""),
        limit: None,
    };
    bencher.bench(|| {
        let index = Index::new(&trace).expect("the trace can be read");
        let found = verify(&index, &model, &options, &mut |_| {}).expect("it can be verified");
        assert_eq!(found.operations.len(), CHECKPOINTS.len());
        assert!(found.culprits.is_empty(), "{:?}", found.culprits);
    });
}

fn explained(bencher: Bencher<'_, '_>, candidate: &str, checkpoint: &str, outcome: Outcome) {
    let (model, reference, candidate) = (Model::new(1e4), open("right"), open(candidate));
    bencher.bench(|| {
        let indices = [&reference, &candidate].map(|trace| Index::new(trace).expect("a trace"));
        let [reference, candidate] = [0, 1].map(|side: usize| Source::new(&indices[side], 0, 0));
        let found = explain_at(&reference, &candidate, Some(&model), checkpoint, 0);
        let found = found.expect("all elements are there");
        assert_eq!(found.outcome, outcome, "{}", found.summary());
    });
}

#[divan::bench]
fn cause_rope_base(bencher: Bencher<'_, '_>) {
    explained(bencher, "rope", "layer_0_q_rope", Outcome::Found);
}

#[divan::bench]
fn unknown_projection(bencher: Bencher<'_, '_>) {
    explained(bencher, "random", "layer_0_q", Outcome::Unknown);
}
