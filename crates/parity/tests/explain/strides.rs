//! P021 with a model file: leading dimensions of cuBLAS that are too large.

use crate::support::noise;
use crate::{Memory, explained_by, proven};
use parity::explain::Explanation;
use parity::recompute::{Arithmetic, Hparams, Metadata, TensorInfo, Weight, Weights};
use parity::tensor::Dense;
use std::collections::BTreeMap;

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

fn explained_with(lda: usize, ldb: usize) -> Explanation {
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
        Memory::default()
            .with("layer_0_ffn_norm", &[TOKENS, WIDTH], input)
            .with("layer_0_ffn_up", &[TOKENS, FFN], y)
    };
    let reference = trace(product(&weights, WIDTH, &x, WIDTH));
    let candidate = trace(product(&weights, lda, &x, ldb));
    explained_by(Some(&model), &reference, &candidate, "layer_0_ffn_up")
}

#[test]
fn rows_of_the_matrix_too_far_apart() {
    let claim = proven(&explained_with(FFN, WIDTH), "P021");
    assert!(
        claim.contains("`blk.0.ffn_up.weight`") && claim.contains("28 elements apart, and are 16"),
        "{claim}"
    );
}

#[test]
fn rows_of_the_batch_too_far_apart() {
    let claim = proven(&explained_with(WIDTH, FFN), "P021");
    assert!(
        claim.contains("the input") && claim.contains("28 elements apart, and are 16"),
        "{claim}"
    );
}

#[test]
fn right_leading_dimensions() {
    assert!(explained_with(WIDTH, WIDTH).causes.is_empty());
}
