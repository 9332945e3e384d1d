//! Factors that are forgotten, wrong, or applied twice.

use super::replace;
use super::{Fault, Needs, Param};
use crate::ops::{Branch, Projection, scores};

const FAMILY: Fault = Fault {
    family: "scalar_multiplier",
    first: "layer_{L}_attn_scores",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "missing-attn-scale",
        summary: "does not divide scores by the root of the head's width",
        build: |_, _| replace::scores(|_, q, keys| scores(q, keys, 1.0)),
        ..FAMILY
    },
    Fault {
        name: "attn-scale-twice",
        summary: "divides by the root of the head's width twice: queries first, then scores",
        build: |_, _| replace::scores(|_, q, keys| scores(q, keys, 1.0 / q.dim(2)? as f64)),
        ..FAMILY
    },
    Fault {
        name: "attn-scale-embedding",
        summary: "divides scores by the root of another width than the head's",
        params: &[Param {
            name: "width",
            default: "the embedding's",
        }],
        build: |params, config| {
            let width: f64 = params.get("width")?.unwrap_or(config.embedding as f64);
            replace::scores(move |_, q, keys| scores(q, keys, 1.0 / width.sqrt()))
        },
        ..FAMILY
    },
    Fault {
        name: "attn-scale-by-layer",
        summary: "divides scores by the layer's number, counted from 1; the first layer stays right",
        from_layer: 1,
        needs: &[Needs::SeveralLayers],
        build: |_, _| {
            replace::scores(|at, q, keys| {
                let number = at.layer.unwrap_or(0) as f64 + 1.0;
                scores(q, keys, 1.0 / (q.dim(2)? as f64).sqrt() / number)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "embedding-scale",
        summary: "multiplies embeddings with the root of their width, as Gemma does",
        first: "embedding",
        build: |_, config| {
            let factor = (config.embedding as f64).sqrt();
            replace::embed(move |_, table, ids| table.index_select(ids, 0)? * factor)
        },
        ..FAMILY
    },
    Fault {
        name: "residual-multiplier",
        summary: "multiplies what is added to the stream with a factor that the model does not have",
        first: "layer_{L}_attn_residual",
        params: &[Param {
            name: "factor",
            default: "0.22",
        }],
        build: |params, _| {
            let factor: f64 = params.get("factor")?.unwrap_or(0.22);
            replace::residual(move |_, _, stream, added| stream + (added * factor)?)
        },
        ..FAMILY
    },
    Fault {
        name: "ffn-multiplier",
        summary: "multiplies what the feed-forward network adds, as an adapter's forgotten alpha over rank would",
        first: "layer_{L}_output",
        params: &[Param {
            name: "factor",
            default: "2",
        }],
        build: |params, _| {
            let factor: f64 = params.get("factor")?.unwrap_or(2.0);
            replace::residual(move |_, branch, stream, added| match branch {
                Branch::Attention => stream + added,
                Branch::FeedForward => stream + (added * factor)?,
            })
        },
        ..FAMILY
    },
    Fault {
        name: "logit-scale",
        summary: "multiplies logits with a factor that the model does not have",
        first: "logits",
        params: &[Param {
            name: "factor",
            default: "0.125",
        }],
        build: |params, _| {
            let factor: f64 = params.get("factor")?.unwrap_or(0.125);
            replace::project(move |_, which, x, linear| match which {
                Projection::Logits => linear.forward(x)? * factor,
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
];
