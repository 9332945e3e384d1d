//! Mistakes with biases.

use super::replace::{self, Built};
use super::{Fault, Needs, Param};
use crate::ops::{Norm, Projection, norm as correct};

const FAMILY: Fault = Fault {
    family: "bias",
    ..Fault::BASE
};

const LOADING: Fault = Fault {
    by_token: false,
    ..FAMILY
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "missing-qkv-bias",
        summary: "does not load the biases of queries, keys and values",
        first: "layer_{L}_q",
        needs: &[Needs::Tensor("attn_q.bias")],
        build: |_, _| dropped(&["attn_q.bias", "attn_k.bias", "attn_v.bias"]),
        ..LOADING
    },
    Fault {
        name: "missing-fused-qkv-bias",
        summary: "does not load the bias of the fused projection",
        first: "layer_{L}_q",
        needs: &[Needs::Tensor("attn_qkv.bias")],
        build: |_, _| dropped(&["attn_qkv.bias"]),
        ..LOADING
    },
    Fault {
        name: "missing-attn-out-bias",
        summary: "does not load the bias of attention's output projection",
        first: "layer_{L}_attn_out",
        needs: &[Needs::Tensor("attn_output.bias")],
        build: |_, _| dropped(&["attn_output.bias"]),
        ..LOADING
    },
    Fault {
        name: "missing-ffn-bias",
        summary: "does not load the biases of the feed-forward network",
        first: "layer_{L}_ffn_up",
        needs: &[Needs::Tensor("ffn_up.bias")],
        build: |_, _| dropped(&["ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"]),
        ..LOADING
    },
    Fault {
        name: "missing-norm-bias",
        summary: "does not add the biases of layer norms",
        first: "layer_{L}_attn_norm",
        needs: &[Needs::LayerNorm],
        build: |_, _| {
            replace::norm(|_, _, x, norm| {
                let bias = None;
                correct(
                    x,
                    &Norm {
                        bias,
                        ..norm.clone()
                    },
                )
            })
        },
        ..FAMILY
    },
    Fault {
        name: "bias-by-every-rank",
        summary: "adds the bias of attention's output projection once for each rank of a parallel run",
        first: "layer_{L}_attn_out",
        params: &[Param {
            name: "ranks",
            default: "2",
        }],
        needs: &[Needs::Tensor("attn_output.bias")],
        build: |params, _| {
            let ranks: f64 = params.get("ranks")?.unwrap_or(2.0);
            replace::project(move |_, which, x, linear| match linear.bias() {
                Some(bias) if which == Projection::AttentionOut => {
                    linear.product(x)?.broadcast_add(&(bias * ranks)?)
                }
                _ => linear.forward(x),
            })
        },
        ..FAMILY
    },
];

fn dropped(names: &'static [&'static str]) -> Built {
    replace::vector(move |slot, vector| Ok((!names.contains(&slot.name)).then_some(vector)))
}
