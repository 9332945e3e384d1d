//! Every captured tensor follows, in f64, from the captured inputs of its operation and the weights in the
//! file: so each has the right name, the right layout and the right rows.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::path::Path;

use common::{capture, config, read, tiny_model};
use ggml_capture::models::Architecture;
use llama_cpp_sys_2 as sys;

const LAYERS: usize = 3;
const HEADS: usize = 4;
const HEADS_KV: usize = 2;
const DIM: usize = 32;

/// ggml sums in f32; at most 224 terms. The largest error seen is 3e-7.
const LIMIT: f64 = 1e-6;

/// All tensors of an F32 GGUF file, by ggml's own reader.
fn weights(path: &Path) -> HashMap<String, Vec<f64>> {
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let mut tensors = HashMap::new();
    // SAFETY: ggml loads the data into a context of its own, which is read before it is freed.
    unsafe {
        let mut context = std::ptr::null_mut();
        let params = sys::gguf_init_params {
            no_alloc: false,
            ctx: &mut context,
        };
        let file = sys::gguf_init_from_file(name.as_ptr(), params);
        assert!(!file.is_null());
        for id in 0..sys::gguf_get_n_tensors(file) {
            let name = sys::gguf_get_tensor_name(file, id);
            let tensor = sys::ggml_get_tensor(context, name);
            assert_eq!((*tensor).type_, sys::GGML_TYPE_F32);
            let count = usize::try_from(sys::ggml_nelements(tensor)).unwrap();
            let data = std::slice::from_raw_parts((*tensor).data.cast::<f32>(), count);
            let name = CStr::from_ptr(name).to_str().unwrap().to_owned();
            tensors.insert(name, data.iter().map(|value| f64::from(*value)).collect());
        }
        sys::gguf_free(file);
        sys::ggml_free(context);
    }
    tensors
}

/// Rows of `x` times the transpose of `weight`, whose rows are outputs.
fn linear(x: &[f64], weight: &[f64], bias: Option<&Vec<f64>>, inputs: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks(inputs) {
        for (output, weight) in weight.chunks(inputs).enumerate() {
            let sum: f64 = row.iter().zip(weight).map(|(x, w)| x * w).sum();
            out.push(sum + bias.map_or(0.0, |bias| bias[output]));
        }
    }
    out
}

/// Root mean square normalisation (Zhang & Sennrich 2019).
fn rms_norm(x: &[f64], weight: &[f64], epsilon: f64) -> Vec<f64> {
    let normalise = |row: &[f64]| {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + epsilon).sqrt();
        row.iter()
            .zip(weight)
            .map(move |(x, w)| x * scale * w)
            .collect::<Vec<_>>()
    };
    x.chunks(weight.len()).flat_map(normalise).collect()
}

/// Rotary embedding (Su et al. 2021) of `[tokens, heads, DIM]`; pairs are neighbours, or half a head apart.
fn rope(x: &[f64], heads: usize, first: usize, base: f64, neighbours: bool) -> Vec<f64> {
    let mut out = x.to_vec();
    for (index, head) in out.chunks_mut(DIM).enumerate() {
        let position = (first + index / heads) as f64;
        for pair in 0..DIM / 2 {
            let angle = position * base.powf(-2.0 * pair as f64 / DIM as f64);
            let (a, b) = if neighbours {
                (2 * pair, 2 * pair + 1)
            } else {
                (pair, pair + DIM / 2)
            };
            let (x, y) = (head[a], head[b]);
            head[a] = x * angle.cos() - y * angle.sin();
            head[b] = x * angle.sin() + y * angle.cos();
        }
    }
    out
}

fn relative_rmse(expected: &[f64], found: &[f64]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let error: f64 = expected
        .iter()
        .zip(found)
        .map(|(e, f)| (e - f).powi(2))
        .sum();
    let size: f64 = expected.iter().map(|e| e * e).sum();
    (error / size).sqrt()
}

fn check(architecture: Architecture, base: f64, epsilon: f64, neighbours: bool) {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path(), architecture);
    let trace = folder.path().join("ref.jsonl");
    let summary = capture(&config(&model, &trace));
    let w = weights(&model);
    let records = read(&trace);
    let per_pass = records.len() / summary.passes;
    let mut keys = vec![Vec::new(); LAYERS];
    let mut values = vec![Vec::new(); LAYERS];
    let mut worst = (0.0, String::new());

    for pass in records.chunks(per_pass) {
        let found: HashMap<&str, Vec<f64>> = pass
            .iter()
            .map(|t| {
                (
                    t.record.checkpoint.as_str(),
                    t.data.iter().map(|v| f64::from(*v)).collect(),
                )
            })
            .collect();
        let first = usize::try_from(pass[0].record.token_idx).unwrap();
        let tokens = pass[0].record.n_tokens;
        let mut expect = |name: &str, expected: Vec<f64>| {
            let error = relative_rmse(&expected, &found[name]);
            assert!(error <= LIMIT, "{name} at {first}: relative RMSE {error:e}");
            if error > worst.0 {
                worst = (error, name.to_owned());
            }
        };
        let embedding = w["token_embd.weight"].len() / w["output_norm.weight"].len();
        let width = w["output_norm.weight"].len();
        assert_eq!(embedding, 512);
        let rows = found["tokens"].iter().flat_map(|id| {
            let id = *id as usize;
            w["token_embd.weight"][id * width..(id + 1) * width].to_vec()
        });
        expect("embedding", rows.collect());

        let mut stream = found["embedding"].clone();
        for layer in 0..LAYERS {
            let name = |point: &str| format!("layer_{layer}_{point}");
            let at = |point: &str| &found[name(point).as_str()];
            let weight = |tensor: &str| &w[&format!("blk.{layer}.{tensor}.weight")];
            let bias = |tensor: &str| w.get(&format!("blk.{layer}.{tensor}.bias"));

            expect(
                &name("attn_norm"),
                rms_norm(&stream, weight("attn_norm"), epsilon),
            );
            for (point, tensor) in [("q", "attn_q"), ("k", "attn_k"), ("v", "attn_v")] {
                expect(
                    &name(point),
                    linear(at("attn_norm"), weight(tensor), bias(tensor), width),
                );
            }
            expect(
                &name("q_rope"),
                rope(at("q"), HEADS, first, base, neighbours),
            );
            expect(
                &name("k_rope"),
                rope(at("k"), HEADS_KV, first, base, neighbours),
            );
            keys[layer].extend_from_slice(at("k_rope"));
            values[layer].extend_from_slice(at("v"));

            let kv = first + tokens;
            let (mut scores, mut probs, mut context) = (Vec::new(), Vec::new(), Vec::new());
            for token in 0..tokens {
                for head in 0..HEADS {
                    let query = &at("q_rope")[(token * HEADS + head) * DIM..][..DIM];
                    // Grouped-query attention: neighbouring query heads share a key head.
                    let shared = head / (HEADS / HEADS_KV);
                    let row = |cache: &[f64], j: usize| {
                        cache[(j * HEADS_KV + shared) * DIM..][..DIM].to_vec()
                    };
                    let dot = |j| {
                        row(&keys[layer], j)
                            .iter()
                            .zip(query)
                            .map(|(k, q)| k * q)
                            .sum::<f64>()
                    };
                    scores.extend((0..kv).map(|j| dot(j) / (DIM as f64).sqrt()));

                    let scored = &at("attn_scores")[(token * HEADS + head) * kv..][..kv];
                    let seen = |j: usize| {
                        if j <= first + token {
                            scored[j].exp()
                        } else {
                            0.0
                        }
                    };
                    let sum: f64 = (0..kv).map(seen).sum();
                    probs.extend((0..kv).map(|j| seen(j) / sum));

                    let p = &at("attn_probs")[(token * HEADS + head) * kv..][..kv];
                    context.extend((0..DIM).map(|d| {
                        (0..kv)
                            .map(|j| p[j] * row(&values[layer], j)[d])
                            .sum::<f64>()
                    }));
                }
            }
            expect(&name("attn_scores"), scores);
            expect(&name("attn_probs"), probs);
            expect(&name("attn_context"), context);
            expect(
                &name("attn_out"),
                linear(at("attn_context"), weight("attn_output"), None, width),
            );
            let sum =
                |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
            expect(&name("attn_residual"), sum(at("attn_out"), &stream));
            expect(
                &name("ffn_norm"),
                rms_norm(at("attn_residual"), weight("ffn_norm"), epsilon),
            );
            expect(
                &name("ffn_gate"),
                linear(at("ffn_norm"), weight("ffn_gate"), None, width),
            );
            expect(
                &name("ffn_up"),
                linear(at("ffn_norm"), weight("ffn_up"), None, width),
            );
            let swiglu = at("ffn_gate")
                .iter()
                .zip(at("ffn_up"))
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u);
            expect(&name("ffn_act"), swiglu.collect());
            let hidden = at("ffn_act").len() / tokens;
            expect(
                &name("ffn_out"),
                linear(at("ffn_act"), weight("ffn_down"), None, hidden),
            );
            expect(&name("output"), sum(at("ffn_out"), at("attn_residual")));
            stream = at("output").clone();
        }
        expect(
            "final_norm",
            rms_norm(&stream, &w["output_norm.weight"], epsilon),
        );
        let output = w.get("output.weight").unwrap_or(&w["token_embd.weight"]);
        expect("logits", linear(&found["final_norm"], output, None, width));
    }
    println!(
        "{architecture:?}: largest relative RMSE {:.1e} at {}",
        worst.0, worst.1
    );
}

#[test]
fn llama() {
    check(Architecture::Llama, 10_000.0, 1e-5, true);
}

#[test]
fn qwen2() {
    check(Architecture::Qwen2, 1_000_000.0, 1e-6, false);
}
