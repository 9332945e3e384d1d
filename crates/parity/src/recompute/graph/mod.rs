//! The operation behind each canonical checkpoint.

mod attention;
mod block;
mod experts;
mod feed_forward;

use super::hparams::Hparams;
use super::kind::{Embed, Factor, Kind, Linear, Norm, Positions, Residual, Statistic, View};
use super::operation::{Input, Operation, Rows};
use block::Block;
use std::ops::Range;

/// How a canonical checkpoint is computed in a model; `None` where the model has no such checkpoint, and for `tokens`.
///
/// # Example
///
/// `layer_3_attn_residual` is the sum of `layer_3_attn_out` (or `layer_3_attn_post_norm`) and `layer_2_output`.
pub fn operation(hparams: &Hparams, checkpoint: &str) -> Option<Operation> {
    let (layer, inputs, kind) = match checkpoint {
        "embedding" => (None, vec![own("tokens")], embed(hparams)),
        "final_norm" => {
            let norm = norm(hparams, "output_norm", hparams.embedding)?;
            (None, vec![own(stream(hparams.layers))], norm)
        }
        "logits" => {
            let head = if hparams.has("output.weight") {
                "output"
            } else {
                "token_embd"
            };
            let Kind::Linear(linear) = linear(hparams, head, None)? else {
                return None;
            };
            let kind = Kind::Linear(Linear {
                cap: hparams.logit_cap,
                ..linear
            });
            (None, vec![own("final_norm")], kind)
        }
        _ => {
            let (layer, point) = checkpoint.strip_prefix("layer_")?.split_once('_')?;
            let layer = layer.parse().ok().filter(|layer| *layer < hparams.layers)?;
            let block = Block { hparams, layer };
            let (inputs, kind) = block.operation(point)?;
            (Some(layer), inputs, kind)
        }
    };
    Some(Operation {
        checkpoint: checkpoint.to_owned(),
        layer,
        inputs,
        kind,
    })
}

fn own(checkpoint: impl Into<String>) -> Input {
    Input {
        checkpoint: checkpoint.into(),
        rows: Rows::Own,
    }
}

/// The stream that enters a block.
fn stream(layer: usize) -> String {
    match layer.checked_sub(1) {
        Some(before) => format!("layer_{before}_output"),
        None => "embedding".to_owned(),
    }
}

fn embed(hparams: &Hparams) -> Kind {
    let positions = "position_embd.weight";
    Kind::Embed(Embed {
        table: "token_embd.weight".to_owned(),
        positions: hparams.has(positions).then(|| positions.to_owned()),
        position: Positions::OWN,
        scale: if hparams.form.scaled_embedding {
            // llama.cpp keeps the root as f32.
            f64::from((hparams.embedding as f32).sqrt())
        } else {
            1.0
        },
    })
}

fn norm(hparams: &Hparams, tensor: &str, group: usize) -> Option<Kind> {
    let weight = format!("{tensor}.weight");
    let bias = format!("{tensor}.bias");
    hparams.has(&weight).then(|| {
        Kind::Norm(Norm {
            centred: hparams.form.layer_norm,
            statistic: Statistic::Mean,
            eps: hparams.norm_eps,
            eps_outside: false,
            inverted: false,
            group,
            bias: hparams.has(&bias).then_some(bias),
            weight,
            factor: Factor::Weight,
            rounded: None,
            skipped: false,
        })
    })
}

/// A product with a matrix, or with some of its rows.
fn linear(hparams: &Hparams, tensor: &str, part: Option<Range<usize>>) -> Option<Kind> {
    let weight = format!("{tensor}.weight");
    let bias = format!("{tensor}.bias");
    let info = hparams.tensors.get(&weight)?;
    // The gate of a shared expert is stored as a vector: one output.
    let stored = match info.shape.as_slice() {
        [_] => 1,
        [outputs, ..] => *outputs,
        [] => return None,
    };
    let outputs = part.as_ref().map_or(stored, |part| part.len());
    if part.as_ref().is_some_and(|part| part.end > stored) {
        return None;
    }
    Some(Kind::Linear(Linear {
        weight: View {
            rows: part.map(Iterator::collect),
            ..View::of(weight)
        },
        bias: hparams.has(&bias).then_some(bias),
        scale: 1.0,
        cap: None,
        row_shape: vec![outputs],
    }))
}

fn sum() -> Kind {
    Kind::Residual(Residual {
        factors: vec![1.0, 1.0],
    })
}
