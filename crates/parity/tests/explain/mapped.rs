//! Causes in traces whose names and axes are not the canonical ones.

use crate::support::{Folder, Line, compare_with, record};
use crate::{HEADS, LANES, angle, noise, rotate, single};
use parity::Options;
use parity::align::maps::{Choice, NameMap, shipped_map};
use std::sync::Arc;

const ROWS: usize = 12;

/// A record of all rows, every element in it.
fn all(checkpoint: &str, shape: &[usize], rows: usize, values: &[f64]) -> Line {
    let narrow: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    record(checkpoint, 0, &narrow).shape(shape).n_tokens(rows)
}

/// The only cause that a comparison names: code, certainty, claim.
fn cause(reference: &[Line], candidate: &[Line], map: Choice) -> (String, String, String) {
    let folder = Folder::new();
    let (reference, candidate) = (
        folder.write("ref.jsonl", reference),
        folder.write("cand.jsonl", candidate),
    );
    let options = Options {
        candidate_map: map,
        ..Options::default()
    };
    let report = compare_with(&reference, &candidate, &options);
    let [cause] = report.causes.as_slice() else {
        panic!(
            "{} causes; {:?} {:?}",
            report.causes.len(),
            report.verdict,
            report.findings
        );
    };
    (
        cause.code.clone(),
        cause.certainty.clone(),
        cause.claim.clone(),
    )
}

fn own(text: &str) -> Choice {
    Choice::Map(Arc::new(NameMap::parse(text, "own.toml").unwrap()))
}

#[test]
fn a_norm_of_modules_with_their_own_names() {
    let width = 32;
    let x = noise(61, ROWS * width);
    let weight = noise(62, width);
    let normed = |offset: f64| {
        let mut normed = Vec::new();
        for row in x.chunks(width) {
            let square: f64 = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
            let lanes = row.iter().zip(&weight);
            normed.extend(lanes.map(|(x, w)| x / (square + 1e-6).sqrt() * (w + offset)));
        }
        single(normed)
    };
    let lines = |names: [&str; 2], offset: f64| {
        let shape = [ROWS, width];
        vec![
            all(names[0], &shape, ROWS, &x),
            all(names[1], &shape, ROWS, &normed(offset)),
        ]
    };
    let reference = lines(["embedding", "layer_0_attn_norm"], 0.0);
    let candidate = lines(
        ["model.embed_tokens", "model.layers.0.input_layernorm"],
        1.0,
    );
    let map = shipped_map("huggingface").unwrap().clone();
    let (code, certainty, claim) = cause(&reference, &candidate, Choice::Map(Arc::new(map)));
    assert_eq!(
        (code.as_str(), certainty.as_str()),
        ("P012", "proven"),
        "{claim}"
    );
}

#[test]
fn heads_outermost_and_heads_merged() {
    let q = noise(63, ROWS * HEADS * LANES);
    let turned = |lanes_of: fn(usize) -> (usize, usize)| {
        rotate(
            &q,
            HEADS,
            LANES,
            |row, pair| angle(row as f64, pair),
            lanes_of,
        )
    };
    let right = turned(|pair| (pair, pair + LANES / 2));
    let wrong = turned(|pair| (2 * pair, 2 * pair + 1));
    let apart = [ROWS, HEADS, LANES];
    let reference = [
        all("layer_0_q", &apart, ROWS, &q),
        all("layer_0_q_rope", &apart, ROWS, &right),
    ];
    let heads_first = |values: &[f64]| -> Vec<f64> {
        let row = |head: usize, token: usize| &values[(token * HEADS + head) * LANES..][..LANES];
        (0..HEADS)
            .flat_map(|head| (0..ROWS).flat_map(move |token| row(head, token).to_vec()))
            .collect()
    };
    let outermost = [HEADS, ROWS, LANES];
    let candidate = [
        all("attn.0.query", &outermost, ROWS, &heads_first(&q)),
        all("attn.0.rotated", &outermost, ROWS, &heads_first(&wrong)),
    ];
    let map = own(
        "[names]\n\"attn.{i}.query\" = { to = \"layer_{i}_q\", layout = \"heads,tokens,dim\" }\n\
         \"attn.{i}.rotated\" = { to = \"layer_{i}_q_rope\", layout = \"heads,tokens,dim\" }\n",
    );
    let (code, certainty, claim) = cause(&reference, &candidate, map);
    assert_eq!(
        (code.as_str(), certainty.as_str()),
        ("P030", "proven"),
        "{claim}"
    );

    // Canonical names, but heads and lanes in one axis.
    let merged = [ROWS, HEADS * LANES];
    let candidate = [
        all("layer_0_q", &merged, ROWS, &q),
        all("layer_0_q_rope", &merged, ROWS, &wrong),
    ];
    let (code, certainty, claim) = cause(&reference, &candidate, Choice::Auto);
    assert_eq!(
        (code.as_str(), certainty.as_str()),
        ("P030", "proven"),
        "{claim}"
    );
}

#[test]
fn gate_and_up_in_one_record() {
    let width = 16;
    let (gate, up) = (noise(64, ROWS * width), noise(65, ROWS * width));
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let act = |gate: &[f64], up: &[f64]| -> Vec<f64> {
        single(
            gate.iter()
                .zip(up)
                .map(|(gate, up)| silu(*gate) * up)
                .collect(),
        )
    };
    let shape = [ROWS, width];
    let reference = [
        all("layer_0_ffn_gate", &shape, ROWS, &gate),
        all("layer_0_ffn_up", &shape, ROWS, &up),
        all("layer_0_ffn_act", &shape, ROWS, &act(&gate, &up)),
    ];
    let both: Vec<f64> = gate
        .chunks(width)
        .zip(up.chunks(width))
        .flat_map(|(gate, up)| [gate, up].concat())
        .collect();
    let candidate = [
        all("mlp.0.gate_up", &[ROWS, 2 * width], ROWS, &both),
        all("mlp.0.act", &shape, ROWS, &act(&up, &gate)),
    ];
    let map = own(
        "[names]\n\"mlp.{i}.gate_up\" = { parts = [\"layer_{i}_ffn_gate\", \"layer_{i}_ffn_up\"] }\n\
         \"mlp.{i}.act\" = \"layer_{i}_ffn_act\"\n",
    );
    let (code, certainty, claim) = cause(&reference, &candidate, map);
    assert_eq!(
        (code.as_str(), certainty.as_str()),
        ("P071", "proven"),
        "{claim}"
    );
}
