//! Causes of reported mistakes, simulated on small tensors with formulas written out here once more.
#![allow(clippy::unwrap_used, reason = "a test tells by panicking")]

mod buffers;
mod experts;
mod mapped;
mod reported;
mod strides;
#[path = "../support/mod.rs"]
mod support;

use parity::explain::{Certainty, Explanation, Known, Outcome, Scene, Tensors, explain};
use parity::recompute::Weights;
use support::memory::{Memory, noise, single};

fn explained(reference: &Memory, candidate: &Memory, checkpoint: &str) -> Explanation {
    explained_by(None, reference, candidate, checkpoint)
}

fn explained_by(
    model: Option<&dyn Weights>,
    reference: &Memory,
    candidate: &Memory,
    checkpoint: &str,
) -> Explanation {
    let known = Known {
        reference,
        candidate,
        model,
    };
    let tokens = reference.passes(checkpoint)[0].clone();
    explain(&Scene::new(known, checkpoint, tokens).unwrap())
}

/// The first cause must be proven and have this code; gives back its claim.
#[track_caller]
fn proven(found: &Explanation, code: &str) -> String {
    first(found, code, Certainty::Proven)
}

/// The same for what numbers alone cannot prove.
#[track_caller]
fn likely(found: &Explanation, code: &str) -> String {
    first(found, code, Certainty::Likely)
}

#[track_caller]
fn first(found: &Explanation, code: &str, certainty: Certainty) -> String {
    let tried: Vec<String> = found
        .tried
        .iter()
        .take(6)
        .map(|tried| {
            format!(
                "{} {:.1e} {}",
                tried.page.code, tried.fit.residual, tried.fit.claim
            )
        })
        .collect();
    let cause = found
        .causes
        .first()
        .unwrap_or_else(|| panic!("no cause; {:?}: {tried:#?}", found.outcome));
    assert_eq!(
        (cause.page.code, cause.certainty),
        (code, certainty),
        "{}; {tried:#?}",
        cause.claim
    );
    cause.claim.clone()
}

/// Rotates `[tokens, heads, lanes]` by its definition; `lanes_of(pair)` says which lanes turn together.
fn rotate(
    x: &[f64],
    heads: usize,
    lanes: usize,
    angle: impl Fn(usize, usize) -> f64,
    lanes_of: impl Fn(usize) -> (usize, usize),
) -> Vec<f64> {
    let mut turned = x.to_vec();
    for (index, head) in turned.chunks_mut(lanes).enumerate() {
        for pair in 0..lanes / 2 {
            let (a, b) = lanes_of(pair);
            let (sin, cos) = angle(index / heads, pair).sin_cos();
            (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
        }
    }
    single(turned)
}

const HEADS: usize = 2;
const LANES: usize = 8;

fn angle(position: f64, pair: usize) -> f64 {
    position * 10_000_f64.powf(-2.0 * pair as f64 / LANES as f64)
}

#[test]
fn rope_in_adjacent_pairs_where_halves_turn() {
    // NeuraLegion/shainet#111.
    let q = noise(1, 12 * HEADS * LANES);
    let base = Memory::default().with("layer_0_q", &[12, HEADS, LANES], q.clone());
    let turned = |lanes_of: fn(usize) -> (usize, usize)| {
        rotate(
            &q,
            HEADS,
            LANES,
            |row, pair| angle(row as f64, pair),
            lanes_of,
        )
    };
    let reference = base.clone().with(
        "layer_0_q_rope",
        &[12, HEADS, LANES],
        turned(|pair| (pair, pair + LANES / 2)),
    );
    let candidate = base.with(
        "layer_0_q_rope",
        &[12, HEADS, LANES],
        turned(|pair| (2 * pair, 2 * pair + 1)),
    );
    proven(&explained(&reference, &candidate, "layer_0_q_rope"), "P030");
}

#[test]
fn positions_in_bf16() {
    // huggingface/candle#3520: past 256 several tokens share one rotation.
    let rows = 24;
    let q = noise(2, rows * HEADS * LANES);
    let base = Memory::from_position(250).with("layer_0_q", &[rows, HEADS, LANES], q.clone());
    let turned = |place: &dyn Fn(f64) -> f64| {
        rotate(
            &q,
            HEADS,
            LANES,
            |row, pair| angle(place(250.0 + row as f64), pair),
            |pair| (pair, pair + LANES / 2),
        )
    };
    let reference = base
        .clone()
        .with("layer_0_q_rope", &[rows, HEADS, LANES], turned(&|at| at));
    // Eight significant binary digits, ties to even.
    let rounded = |at: f64| {
        if at < 256.0 {
            at
        } else {
            (at / 2.0).round_ties_even() * 2.0
        }
    };
    let candidate = base.with("layer_0_q_rope", &[rows, HEADS, LANES], turned(&rounded));
    let claim = proven(&explained(&reference, &candidate, "layer_0_q_rope"), "P038");
    assert!(claim.contains("positions to bf16"), "{claim}");
}

/// Fused attention by its definition: nothing but queries, keys, values and context is logged.
fn attend(
    q: &[f64],
    k: &[f64],
    v: &[f64],
    key_head: impl Fn(usize) -> usize,
    scale: f64,
    sees: impl Fn(usize, usize) -> bool,
) -> Vec<f64> {
    let (tokens, heads, key_heads) = (TOKENS, QUERY_HEADS, HEADS);
    let mut context = Vec::new();
    for t in 0..tokens {
        for h in 0..heads {
            let of = |x: &[f64], row: usize, lane: usize| {
                x[(row * key_heads + key_head(h)) * LANES + lane]
            };
            let weights: Vec<f64> = (0..tokens)
                .map(|row| {
                    let dot: f64 = (0..LANES)
                        .map(|lane| q[(t * heads + h) * LANES + lane] * of(k, row, lane))
                        .sum();
                    if sees(t, row) {
                        (dot * scale).exp()
                    } else {
                        0.0
                    }
                })
                .collect();
            let total: f64 = weights.iter().sum();
            context.extend((0..LANES).map(|lane| {
                (0..tokens)
                    .map(|row| weights[row] / total * of(v, row, lane))
                    .sum::<f64>()
            }));
        }
    }
    single(context)
}

struct Fused {
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
}

const TOKENS: usize = 9;
const QUERY_HEADS: usize = 4;

impl Fused {
    fn new() -> Self {
        let scaled = |values: Vec<f64>| values.into_iter().map(|x| 3.0 * x).collect();
        Self {
            q: scaled(noise(3, TOKENS * QUERY_HEADS * LANES)),
            k: scaled(noise(4, TOKENS * HEADS * LANES)),
            v: noise(5, TOKENS * HEADS * LANES),
        }
    }

    fn trace(&self, context: Vec<f64>) -> Memory {
        Memory::default()
            .with(
                "layer_0_q_rope",
                &[TOKENS, QUERY_HEADS, LANES],
                self.q.clone(),
            )
            .with("layer_0_k_rope", &[TOKENS, HEADS, LANES], self.k.clone())
            .with("layer_0_v", &[TOKENS, HEADS, LANES], self.v.clone())
            .with(
                "layer_0_attn_context",
                &[TOKENS, QUERY_HEADS, LANES],
                context,
            )
    }

    fn context(
        &self,
        q: &[f64],
        key_head: impl Fn(usize) -> usize,
        scale: f64,
        sees: impl Fn(usize, usize) -> bool,
    ) -> Vec<f64> {
        attend(q, &self.k, &self.v, key_head, scale, sees)
    }

    fn explained(&self, candidate: Vec<f64>) -> Explanation {
        let right = self.context(&self.q, |head| head / 2, SCALE, |row, column| column <= row);
        explained(
            &self.trace(right),
            &self.trace(candidate),
            "layer_0_attn_context",
        )
    }
}

/// 1/√8.
const SCALE: f64 = 0.353_553_390_593_273_8;

#[test]
fn fused_attention_hides_no_scale_mask_head_or_stride() {
    let fused = Fused::new();
    let causal = |row: usize, column: usize| column <= row;
    let clean = fused.context(&fused.q, |head| head / 2, SCALE, causal);
    assert!(fused.explained(clean).causes.is_empty());
    // TransformerLens#27 and others: another scale.
    let scaled = fused.explained(fused.context(&fused.q, |head| head / 2, 0.125, causal));
    let claim = proven(&scaled, "P050");
    assert!(claim.contains("0.125"), "{claim}");
    // huggingface/candle#3698: a window where there is none.
    let window = fused.explained(fused.context(
        &fused.q,
        |head| head / 2,
        SCALE,
        |row, column| column <= row && row - column < 3,
    ));
    let claim = proven(&window, "P060");
    assert!(claim.contains("last 3 positions"), "{claim}");
    // onnx/onnx#7274: key heads tiled.
    proven(
        &fused.explained(fused.context(&fused.q, |head| head % 2, SCALE, causal)),
        "P052",
    );
    // huggingface/candle#3703: memory order [tokens, heads] read as [heads, tokens].
    let mut read = Vec::new();
    for token in 0..TOKENS {
        for head in 0..QUERY_HEADS {
            read.extend_from_slice(&fused.q[(head * TOKENS + token) * LANES..][..LANES]);
        }
    }
    proven(
        &fused.explained(fused.context(&read, |head| head / 2, SCALE, causal)),
        "P053",
    );
}

#[test]
fn gate_and_up_in_alternating_columns() {
    // vllm-project/llm-compressor#3100.
    let (rows, width) = (5, 16);
    let (gate, up) = (noise(6, rows * width), noise(7, rows * width));
    let of = |gate: Vec<f64>, up: Vec<f64>| {
        Memory::default()
            .with("layer_0_ffn_gate", &[rows, width], gate)
            .with("layer_0_ffn_up", &[rows, width], up)
    };
    let mut taken = (Vec::new(), Vec::new());
    for row in 0..rows {
        let both: Vec<f64> = gate[row * width..][..width]
            .iter()
            .chain(&up[row * width..][..width])
            .copied()
            .collect();
        taken.0.extend(both.iter().step_by(2));
        taken.1.extend(both.iter().skip(1).step_by(2));
    }
    let found = explained(&of(gate, up), &of(taken.0, taken.1), "layer_0_ffn_gate");
    proven(&found, "P024");
}

#[test]
fn a_soft_cap_that_the_candidate_lacks() {
    // sgl-project/sglang#1046.
    let logits: Vec<f64> = noise(8, 4 * 200).into_iter().map(|x| 25.0 * x).collect();
    let capped = single(logits.iter().map(|x| 30.0 * (x / 30.0).tanh()).collect());
    let of = |data| Memory::default().with("logits", &[4, 200], data);
    let claim = proven(&explained(&of(capped), &of(logits), "logits"), "P051");
    assert!(
        claim.contains("not capped") && claim.contains("30"),
        "{claim}"
    );
}

#[test]
fn a_stream_that_overflows_in_f16() {
    // ROCm/hip-ep#168: addends finite, sum infinite.
    let (rows, width) = (4, 64);
    let stream: Vec<f64> = noise(9, rows * width)
        .into_iter()
        .map(|x| 60_000.0 * x)
        .collect();
    let added: Vec<f64> = noise(10, rows * width)
        .into_iter()
        .map(|x| 30_000.0 * x)
        .collect();
    let sum: Vec<f64> = single(stream.iter().zip(&added).map(|(a, b)| a + b).collect());
    let of = |sum: Vec<f64>| {
        Memory::default()
            .with("embedding", &[rows, width], stream.clone())
            .with("layer_0_attn_out", &[rows, width], added.clone())
            .with("layer_0_attn_residual", &[rows, width], sum)
    };
    let narrow: Vec<f64> = sum.iter().map(|x| half_precision(*x)).collect();
    assert!(narrow.iter().any(|x| x.is_infinite()));
    let claim = proven(
        &explained(&of(sum), &of(narrow), "layer_0_attn_residual"),
        "P005",
    );
    assert!(claim.contains("f16"), "{claim}");
}

/// Eleven significant binary digits, infinite from 65520 on.
fn half_precision(x: f64) -> f64 {
    if x.abs() >= 65_520.0 {
        return f64::INFINITY.copysign(x);
    }
    let spacing = (x.abs().log2().floor() - 10.0).exp2();
    (x / spacing).round_ties_even() * spacing
}

#[test]
fn the_embedding_scale_rounded_to_bf16() {
    // huggingface/transformers#29402: √3072 = 55.4256 becomes 55.5.
    let rows: Vec<f64> = noise(11, 3 * 64);
    let of = |scale: f64| {
        Memory::default().with(
            "embedding",
            &[3, 64],
            single(rows.iter().map(|x| scale * x).collect()),
        )
    };
    let found = explained(&of(3072_f64.sqrt()), &of(55.5), "embedding");
    proven(&found, "P090");
    let factor = found.causes[0].fit.parameters[0].value;
    assert!((factor - 55.5 / 3072_f64.sqrt()).abs() < 1e-7, "{factor}");
}

#[test]
fn what_nothing_explains_is_unknown() {
    let of = |seed| {
        Memory::default()
            .with("layer_0_q", &[6, HEADS, LANES], noise(20, 96))
            .with("layer_0_q_rope", &[6, HEADS, LANES], noise(seed, 96))
    };
    let rotated = rotate(
        &noise(20, 96),
        HEADS,
        LANES,
        |row, pair| angle(row as f64, pair),
        |pair| (pair, pair + 4),
    );
    let reference = of(0).with("layer_0_q_rope", &[6, HEADS, LANES], rotated.clone());
    for seed in 21..41 {
        let found = explained(&reference, &of(seed), "layer_0_q_rope");
        assert!(found.causes.is_empty(), "seed {seed}: {}", found.summary());
        assert_eq!(found.outcome, Outcome::Unknown);
    }
    // What agrees needs no cause, and an error that is right by the formula came in with the inputs.
    let found = explained(&reference, &reference, "layer_0_q_rope");
    assert!(found.causes.is_empty(), "{}", found.summary());
    let only = |data| Memory::default().with("my_own_name", &[2, 8], data);
    let found = explained(&only(noise(1, 16)), &only(noise(1, 16)), "my_own_name");
    assert!(found.causes.is_empty(), "{}", found.summary());
}

#[test]
fn a_reference_that_does_not_follow_from_its_inputs_is_named() {
    // As in huggingface/transformers#47435: here the reference is the wrong one.
    let fused = Fused::new();
    let causal = |row: usize, column: usize| column <= row;
    let right = fused.context(&fused.q, |head| head / 2, SCALE, causal);
    let wrong = fused.context(&fused.q, |head| head % 2, SCALE, causal);
    let found = explained(
        &fused.trace(wrong),
        &fused.trace(right),
        "layer_0_attn_context",
    );
    assert_eq!(
        found.outcome,
        Outcome::ReferenceDiffers,
        "{}",
        found.summary()
    );
}
