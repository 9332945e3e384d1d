//! Judging by recomputation, held against a block of a model computed here, in f64 and by plain loops.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use parity::recompute::{Arithmetic, Hparams, Metadata, TensorInfo, Weight, Weights, multiply};
use parity::report::v1::Report;
use parity::tensor::Dense;
use parity::{Error, Options, compare_with_model};
use std::collections::BTreeMap;
use support::{Folder, Line, noise, record, run_of, tokens};

/// Not heads times lanes, as in qwen3.
const EMBEDDING: usize = 10;
const HEADS: usize = 2;
const LANES: usize = 4;
const HIDDEN: usize = 12;
const VOCABULARY: usize = 6;
const EPSILON: f64 = 1e-5;
const BASE: f64 = 100.0;

/// A model of one block with one key head.
struct Model {
    hparams: Hparams,
    tensors: BTreeMap<String, Weight>,
}

struct Keys;

impl Metadata for Keys {
    fn number(&self, key: &str) -> Option<f64> {
        Some(match key {
            "llama.block_count" | "llama.attention.head_count_kv" => 1.0,
            "llama.embedding_length" => EMBEDDING as f64,
            "llama.attention.key_length" | "llama.attention.value_length" => LANES as f64,
            "llama.attention.head_count" => HEADS as f64,
            "llama.attention.layer_norm_rms_epsilon" => EPSILON,
            "llama.rope.freq_base" => BASE,
            _ => return None,
        })
    }

    fn text(&self, key: &str) -> Option<String> {
        (key == "general.architecture").then(|| "llama".to_owned())
    }
}

impl Model {
    fn new() -> Self {
        let kv = LANES;
        let shapes: [(&str, &[usize]); 12] = [
            ("token_embd", &[VOCABULARY, EMBEDDING]),
            ("blk.0.attn_norm", &[EMBEDDING]),
            ("blk.0.attn_q", &[HEADS * LANES, EMBEDDING]),
            ("blk.0.attn_k", &[kv, EMBEDDING]),
            ("blk.0.attn_v", &[kv, EMBEDDING]),
            ("blk.0.attn_output", &[EMBEDDING, HEADS * LANES]),
            ("blk.0.ffn_norm", &[EMBEDDING]),
            ("blk.0.ffn_gate", &[HIDDEN, EMBEDDING]),
            ("blk.0.ffn_up", &[HIDDEN, EMBEDDING]),
            ("blk.0.ffn_down", &[EMBEDDING, HIDDEN]),
            ("output_norm", &[EMBEDDING]),
            ("output", &[VOCABULARY, EMBEDDING]),
        ];
        let (mut infos, mut tensors) = (BTreeMap::new(), BTreeMap::new());
        for (seed, (name, shape)) in shapes.into_iter().enumerate() {
            let name = format!("{name}.weight");
            let info = TensorInfo {
                shape: shape.to_vec(),
                dtype: "f32".to_owned(),
            };
            infos.insert(name.clone(), info);
            let weight = Weight {
                shape: shape.to_vec(),
                data: noise(seed as u64 + 1, shape.iter().product()).into(),
                dtype: "f32".to_owned(),
            };
            tensors.insert(name, weight);
        }
        Self {
            hparams: Hparams::read(&Keys, infos).unwrap(),
            tensors,
        }
    }

    fn weight(&self, name: &str) -> Vec<f64> {
        let weight = &self.tensors[&format!("{name}.weight")];
        weight.data.iter().map(|w| f64::from(*w)).collect()
    }
}

impl Weights for Model {
    fn hparams(&self) -> &Hparams {
        &self.hparams
    }

    fn tensor(&self, name: &str) -> Result<Option<Weight>, Error> {
        Ok(self.tensors.get(name).cloned())
    }

    fn matmul(&self, name: &str, x: &Dense, _: Arithmetic) -> Result<Option<Dense>, Error> {
        let weight = &self.tensors[name];
        let data = multiply(&x.data, weight.row_len(), &weight.data);
        Ok(Dense::new(vec![x.n_rows(), weight.shape[0]], data))
    }
}

/// What an engine logs: numbers, and the shape of one token's.
type Logged = (String, Vec<usize>, Vec<f64>);

/// An engine that computes each step in f64 and rounds its result to f32; `touch` may change a result before that.
struct Engine<'m> {
    model: &'m Model,
    logged: Vec<Logged>,
    touch: &'m dyn Fn(&str, &mut [f64]),
}

impl Engine<'_> {
    fn log(&mut self, name: &str, shape: &[usize], mut data: Vec<f64>) -> Vec<f64> {
        (self.touch)(name, &mut data);
        for x in &mut data {
            *x = f64::from(*x as f32);
        }
        self.logged
            .push((name.to_owned(), shape.to_vec(), data.clone()));
        data
    }

    fn norm(&self, x: &[f64], weight: &str) -> Vec<f64> {
        let weight = self.model.weight(weight);
        let rows = x.chunks(EMBEDDING).flat_map(|row| {
            let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
            let root = (mean + EPSILON).sqrt();
            row.iter()
                .zip(&weight)
                .map(move |(x, w)| x / root * w)
                .collect::<Vec<_>>()
        });
        rows.collect()
    }

    fn product(&self, x: &[f64], weight: &str, inputs: usize) -> Vec<f64> {
        let weight = self.model.weight(weight);
        let rows = x.chunks(inputs).flat_map(|row| {
            let dot = |w: &[f64]| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>();
            weight.chunks(inputs).map(dot).collect::<Vec<_>>()
        });
        rows.collect()
    }

    /// Neighbouring lanes are a pair, as llama has it.
    fn rotate(x: &[f64], heads: usize) -> Vec<f64> {
        let mut out = x.to_vec();
        for (at, pair) in out.chunks_mut(2).enumerate() {
            let (position, lane) = (at * 2 / (heads * LANES), at * 2 % LANES);
            let angle = position as f64 * BASE.powf(-(lane as f64) / LANES as f64);
            let (sin, cos) = angle.sin_cos();
            let [a, b] = [pair[0], pair[1]];
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
        out
    }

    /// `[tokens, heads, kv]` from `[tokens, heads, lanes]` and the one key head `[kv, lanes]`.
    fn scores(q: &[f64], k: &[f64]) -> Vec<f64> {
        let dots = q.chunks(LANES).flat_map(|q| {
            let dot = move |k: &[f64]| k.iter().zip(q).map(|(k, q)| k * q).sum::<f64>();
            k.chunks(LANES).map(move |k| dot(k) / (LANES as f64).sqrt())
        });
        dots.collect()
    }

    /// Each row sees the positions up to its own.
    fn probs(scores: &[f64], kv: usize) -> Vec<f64> {
        let mut out = vec![0.0; scores.len()];
        for (row, (scores, out)) in scores.chunks(kv).zip(out.chunks_mut(kv)).enumerate() {
            let seen = row / HEADS + 1;
            let sum: f64 = scores[..seen].iter().map(|s| s.exp()).sum();
            for (out, score) in out.iter_mut().zip(&scores[..seen]) {
                *out = score.exp() / sum;
            }
        }
        out
    }

    fn context(probs: &[f64], v: &[f64], kv: usize) -> Vec<f64> {
        let rows = probs.chunks(kv).flat_map(|probs| {
            (0..LANES).map(move |lane| {
                let values = v.iter().skip(lane).step_by(LANES);
                probs.iter().zip(values).map(|(p, v)| p * v).sum::<f64>()
            })
        });
        rows.collect()
    }

    fn run(&mut self, ids: &[i32]) {
        let n = ids.len();
        let table = self.model.weight("token_embd");
        let rows = ids
            .iter()
            .flat_map(|id| &table[*id as usize * EMBEDDING..][..EMBEDDING]);
        let stream = self.log("embedding", &[EMBEDDING], rows.copied().collect());
        let normed = self.norm(&stream, "blk.0.attn_norm");
        let normed = self.log("layer_0_attn_norm", &[EMBEDDING], normed);
        let q = self.product(&normed, "blk.0.attn_q", EMBEDDING);
        let q = self.log("layer_0_q", &[HEADS, LANES], q);
        let k = self.product(&normed, "blk.0.attn_k", EMBEDDING);
        let k = self.log("layer_0_k", &[1, LANES], k);
        let v = self.product(&normed, "blk.0.attn_v", EMBEDDING);
        let v = self.log("layer_0_v", &[1, LANES], v);
        let q = self.log("layer_0_q_rope", &[HEADS, LANES], Self::rotate(&q, HEADS));
        let k = self.log("layer_0_k_rope", &[1, LANES], Self::rotate(&k, 1));
        let scores = self.log("layer_0_attn_scores", &[HEADS, n], Self::scores(&q, &k));
        let probs = self.log("layer_0_attn_probs", &[HEADS, n], Self::probs(&scores, n));
        let context = Self::context(&probs, &v, n);
        let context = self.log("layer_0_attn_context", &[HEADS, LANES], context);
        let out = self.product(&context, "blk.0.attn_output", HEADS * LANES);
        let out = self.log("layer_0_attn_out", &[EMBEDDING], out);
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
        let stream = self.log("layer_0_attn_residual", &[EMBEDDING], add(&stream, &out));
        let normed = self.norm(&stream, "blk.0.ffn_norm");
        let normed = self.log("layer_0_ffn_norm", &[EMBEDDING], normed);
        let gate = self.product(&normed, "blk.0.ffn_gate", EMBEDDING);
        let gate = self.log("layer_0_ffn_gate", &[HIDDEN], gate);
        let up = self.product(&normed, "blk.0.ffn_up", EMBEDDING);
        let up = self.log("layer_0_ffn_up", &[HIDDEN], up);
        let silu = |(g, u): (&f64, &f64)| g / (1.0 + (-g).exp()) * u;
        let act = gate.iter().zip(&up).map(silu).collect();
        let act = self.log("layer_0_ffn_act", &[HIDDEN], act);
        let out = self.product(&act, "blk.0.ffn_down", HIDDEN);
        let out = self.log("layer_0_ffn_out", &[EMBEDDING], out);
        let stream = self.log("layer_0_output", &[EMBEDDING], add(&stream, &out));
        let normed = self.norm(&stream, "output_norm");
        let normed = self.log("final_norm", &[EMBEDDING], normed);
        let logits = self.product(&normed, "output", EMBEDDING);
        self.log("logits", &[VOCABULARY], logits);
    }
}

fn ids(n: usize) -> Vec<i32> {
    (0..n as i32)
        .map(|at| (at * at + 1) % VOCABULARY as i32)
        .collect()
}

fn run(model: &Model, n: usize, touch: &dyn Fn(&str, &mut [f64])) -> Vec<Logged> {
    let mut engine = Engine {
        model,
        logged: Vec::new(),
        touch,
    };
    engine.run(&ids(n));
    engine.logged
}

fn lines(n: usize, logged: &[Logged]) -> Vec<Line> {
    let mut lines = vec![tokens(0, &ids(n))];
    lines.extend(logged.iter().map(|(name, shape, data)| {
        let values: Vec<f32> = data.iter().map(|x| *x as f32).collect();
        let shape: Vec<usize> = std::iter::once(n).chain(shape.iter().copied()).collect();
        record(name, 0, &values).shape(&shape).n_tokens(n)
    }));
    lines
}

/// 16-bit weights: the model of errors lets a product add 3e-3, so that what is less is seen by computing anew only.
fn compare(model: &Model, n: usize, reference: &[Logged], candidate: &[Logged]) -> Report {
    compare_by(Some(model), n, reference, candidate)
}

fn compare_by(
    model: Option<&dyn Weights>,
    n: usize,
    reference: &[Logged],
    candidate: &[Logged],
) -> Report {
    let folder = Folder::new();
    folder.write_runs(&["ref", "cand"], &run_of(1, "F16", "f32"));
    let reference = folder.write("ref.jsonl", &lines(n, reference));
    let candidate = folder.write("cand.jsonl", &lines(n, candidate));
    let options = Options::default();
    compare_with_model(&reference, &candidate, &options, model, &mut |_| {}).unwrap()
}

/// What a mistake adds to a tensor: √(Σ over row `row` of (δ x)² / Σ x²), from what the other engine logged.
fn added(logged: &[Logged], name: &str, n: usize, row: usize, delta: f64) -> f64 {
    let (_, _, data) = logged.iter().find(|(found, ..)| found == name).unwrap();
    let len = data.len() / n;
    let energy = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    delta * (energy(&data[row * len..][..len]) / energy(data)).sqrt()
}

#[test]
fn every_step_follows_from_its_inputs_to_the_rounding_of_f32() {
    let model = Model::new();
    let logged = run(&model, 5, &|_, _| {});
    let report = compare(&model, 5, &logged, &logged);
    assert_eq!(report.verdict, "match", "{:?}", report.reasons);
    assert_eq!(report.checkpoints.len(), 20);
    for row in report.checkpoints.iter().skip(1) {
        let local = row.local.as_ref().unwrap();
        assert_eq!(local.floor, "recomputed", "{}", row.checkpoint);
        // Half a unit in the last place, 2⁻²⁴, of each element.
        assert!(
            local.error.0 <= 6e-8,
            "{}: {}",
            row.checkpoint,
            local.error.0
        );
    }
    assert_eq!(report.judged.products_in_part, 0);
}

#[test]
fn a_thousandth_in_one_row_is_measured_and_located_at_every_step() {
    let (model, n, delta) = (Model::new(), 5, 1e-3);
    let reference = run(&model, n, &|_, _| {});
    for (name, ..) in reference.iter().skip(1) {
        // Up and down in turn: a norm would divide away what all elements of a row have in common.
        let touch = |at: &str, data: &mut [f64]| {
            if at == name {
                let len = data.len() / n;
                for (lane, x) in data[(n - 1) * len..].iter_mut().enumerate() {
                    *x *= if lane % 2 == 0 {
                        1.0 + delta
                    } else {
                        1.0 - delta
                    };
                }
            }
        };
        let candidate = run(&model, n, &touch);
        let report = compare(&model, n, &reference, &candidate);
        assert_eq!(report.verdict, "diverged", "{name}: {:?}", report.reasons);
        assert_eq!(report.origins.len(), 1, "{name}: {:?}", report.origins);
        assert_eq!(report.origins[0].checkpoints, [name.as_str()]);
        let local = report.origins[0].local.as_ref().unwrap();
        assert_eq!(local.floor, "recomputed", "{name}");
        let expected = added(&reference, name, n, n - 1, delta);
        assert!(
            (local.error.0 / expected - 1.0).abs() < 1e-3,
            "{name}: {} instead of {expected}",
            local.error.0
        );
    }
}

#[test]
fn without_the_model_norms_are_learned_whatever_the_width_of_the_stream() {
    let (model, n) = (Model::new(), 5);
    let reference = run(&model, n, &|_, _| {});
    for name in ["layer_0_attn_norm", "layer_0_ffn_norm"] {
        // One element of the last row: a thousandth of it, below what F16 weights explain.
        let touch = |at: &str, data: &mut [f64]| {
            if at == name
                && let Some(x) = data.last_mut()
            {
                *x *= 1.001;
            }
        };
        let candidate = run(&model, n, &touch);
        let report = compare_by(None, n, &reference, &candidate);
        assert_eq!(report.origins.len(), 1, "{name}: {:?}", report.origins);
        assert_eq!(report.origins[0].checkpoints, [name]);
        let local = report.origins[0].local.as_ref().unwrap();
        assert_eq!(local.floor, "recomputed", "{name}");
    }
}

#[test]
fn of_long_products_the_last_rows_are_computed_unless_another_is_suspicious() {
    let (model, n, row) = (Model::new(), 40, 2);
    let reference = run(&model, n, &|_, _| {});
    let with = |delta: f64| {
        let touch = move |at: &str, data: &mut [f64]| {
            if at == "layer_0_q" {
                let len = data.len() / n;
                data[row * len..][..len]
                    .iter_mut()
                    .for_each(|x| *x *= 1.0 + delta);
            }
        };
        compare(&model, n, &reference, &run(&model, n, &touch))
    };
    let report = with(1e-3);
    assert_eq!(report.verdict, "rounding", "{:?}", report.reasons);
    // Queries, keys, values, output, gate, up, down, logits; 40 − 32 rows each.
    let judged = report.judged;
    assert_eq!((judged.product_rows, judged.products_in_part), (32, 8));
    assert_eq!(judged.rows_not_recomputed, 8 * 8);

    let report = with(1.0);
    assert_eq!(report.verdict, "diverged");
    assert_eq!(report.origins[0].checkpoints, ["layer_0_q"]);
    let local = report.origins[0].local.as_ref().unwrap();
    assert_eq!(local.floor, "recomputed");
    let expected = added(&reference, "layer_0_q", n, row, 1.0);
    assert!((local.error.0 / expected - 1.0).abs() < 1e-6);
    assert_eq!(report.judged.products_in_part, 7);
}
