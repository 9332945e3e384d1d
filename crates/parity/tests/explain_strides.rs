//! P021 with a model file: leading dimensions of cuBLAS that are too large.
#![allow(clippy::unwrap_used, reason = "a test tells by panicking")]

use parity::explain::{Certainty, Known, Scene, Tensors, explain};
use parity::recompute::{Arithmetic, Hparams, Metadata, TensorInfo, Weight, Weights};
use parity::tensor::Dense;
use std::collections::BTreeMap;
use std::ops::Range;

const TOKENS: usize = 11;
const WIDTH: usize = 16;
const FFN: usize = 28;

/// A model of which one matrix is known.
struct Model {
    hparams: Hparams,
    matrix: Vec<f32>,
}

struct Keys;

impl Metadata for Keys {
    fn text(&self, key: &str) -> Option<String> {
        (key == "general.architecture").then(|| "llama".to_owned())
    }

    fn number(&self, key: &str) -> Option<f64> {
        match key.strip_prefix("llama.")? {
            "block_count" => Some(1.0),
            "embedding_length" => Some(WIDTH as f64),
            "feed_forward_length" => Some(FFN as f64),
            "attention.head_count" => Some(2.0),
            "attention.layer_norm_rms_epsilon" => Some(1e-5),
            _ => None,
        }
    }
}

impl Weights for Model {
    fn hparams(&self) -> &Hparams {
        &self.hparams
    }

    fn tensor(&self, name: &str) -> Result<Option<Weight>, parity::Error> {
        Ok((name == "blk.0.ffn_up.weight").then(|| Weight {
            shape: vec![FFN, WIDTH],
            data: self.matrix.clone().into(),
            dtype: "f32".to_owned(),
        }))
    }

    fn matmul(&self, _: &str, _: &Dense, _: Arithmetic) -> Result<Option<Dense>, parity::Error> {
        Ok(None)
    }
}

/// A trace of one pass.
#[derive(Clone, Default)]
struct Memory(BTreeMap<String, Dense>);

impl Tensors for Memory {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn passes(&self, checkpoint: &str) -> Vec<Range<i64>> {
        let rows = self.0.get(checkpoint).map(Dense::n_rows);
        rows.map(|rows| 0..rows as i64).into_iter().collect()
    }

    fn rows(&self, checkpoint: &str, tokens: Range<i64>) -> Option<Dense> {
        let dense = self.0.get(checkpoint)?;
        (tokens.end <= dense.n_rows() as i64)
            .then(|| dense.rows_in(tokens.start as usize..tokens.end as usize))
    }
}

fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// What cuBLAS computes: `memory` begins with what is meant and goes on with what lies behind it.
fn product(weights: &[f32], lda: usize, x: &[f32], ldb: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for token in 0..TOKENS {
        for row in 0..FFN {
            let terms = (0..WIDTH)
                .map(|i| f64::from(weights[row * lda + i]) * f64::from(x[token * ldb + i]));
            y.push(f64::from(terms.sum::<f64>() as f32));
        }
    }
    y
}

fn cause(lda: usize, ldb: usize) -> Option<(String, String)> {
    // Other tensors lie behind both.
    let (weights, x) = (noise(1, 4 * FFN * FFN), noise(2, 4 * TOKENS * FFN));
    let infos = BTreeMap::from([(
        "blk.0.ffn_up.weight".to_owned(),
        TensorInfo {
            shape: vec![FFN, WIDTH],
            dtype: "f32".to_owned(),
        },
    )]);
    let model = Model {
        hparams: Hparams::read(&Keys, infos).unwrap(),
        matrix: weights[..FFN * WIDTH].to_vec(),
    };
    let trace = |y: Vec<f64>| {
        let input: Vec<f64> = x[..TOKENS * WIDTH].iter().copied().map(f64::from).collect();
        Memory(BTreeMap::from([
            (
                "layer_0_ffn_norm".to_owned(),
                Dense::new(vec![TOKENS, WIDTH], input).unwrap(),
            ),
            (
                "layer_0_ffn_up".to_owned(),
                Dense::new(vec![TOKENS, FFN], y).unwrap(),
            ),
        ]))
    };
    let reference = trace(product(&weights, WIDTH, &x, WIDTH));
    let candidate = trace(product(&weights, lda, &x, ldb));
    let known = Known {
        reference: &reference,
        candidate: &candidate,
        model: Some(&model),
    };
    let scene = Scene::new(known, "layer_0_ffn_up", 0..TOKENS as i64).unwrap();
    let found = explain(&scene);
    let first = found.causes.first()?;
    assert_eq!(first.certainty, Certainty::Proven, "{}", first.fit.claim);
    Some((first.page.code.to_owned(), first.fit.claim.clone()))
}

#[test]
fn rows_of_the_matrix_too_far_apart() {
    let (code, claim) = cause(FFN, WIDTH).unwrap();
    assert_eq!(code, "P021", "{claim}");
    assert!(
        claim.contains("`blk.0.ffn_up.weight`") && claim.contains("28 elements apart, and are 16"),
        "{claim}"
    );
}

#[test]
fn rows_of_the_batch_too_far_apart() {
    let (code, claim) = cause(WIDTH, FFN).unwrap();
    assert_eq!(code, "P021", "{claim}");
    assert!(
        claim.contains("the input") && claim.contains("28 elements apart, and are 16"),
        "{claim}"
    );
}

#[test]
fn right_leading_dimensions() {
    assert_eq!(cause(WIDTH, WIDTH), None);
}
