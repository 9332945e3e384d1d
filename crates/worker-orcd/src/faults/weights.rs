//! Mistakes in the loader: names, layouts, forgotten tensors.

use candle_core::quantized::QTensor;
use candle_core::{Result, Tensor};

use super::{Fault, Needs, Param};
use crate::error::Error;
use crate::ops::{Matrix, Operations, Slot};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "missing-qkv-bias",
        family: "bias",
        summary: "does not load the biases of queries, keys and values",
        first: "layer_{L}_q",
        phase: "prefill",
        params: &[],
        by_token: false,
        needs: Needs::Tensor("attn_q.bias"),
        build: |_, _| Ok(Box::new(NoQkvBias)),
    },
    Fault {
        name: "swapped-gate-up",
        family: "weight_layout",
        summary: "takes the gate's matrix for the up projection's and the other way round",
        first: "layer_{L}_ffn_gate",
        phase: "prefill",
        params: &[],
        by_token: false,
        needs: Needs::Tensor("ffn_gate.weight"),
        build: |_, _| Ok(Box::new(SwappedGateUp)),
    },
    Fault {
        name: "transposed-weight",
        family: "weight_layout",
        summary: "reads a square matrix of attention by columns",
        first: "layer_{L}_q",
        phase: "prefill",
        params: &[Param {
            name: "tensor",
            default: "attn_q",
        }],
        by_token: false,
        needs: Needs::SquareAttention,
        build: |params, _| {
            let tensor: String = params.get("tensor")?.unwrap_or_else(|| "attn_q".to_owned());
            if !["attn_q", "attn_output"].contains(&tensor.as_str()) {
                return Err(Error::Fault(format!(
                    "fault `transposed-weight`: `tensor={tensor}` is not square; use attn_q or attn_output"
                )));
            }
            Ok(Box::new(Transposed(format!("{tensor}.weight"))))
        },
    },
];

struct NoQkvBias;

impl Operations for NoQkvBias {
    fn vector(&self, slot: Slot<'_>, vector: Tensor) -> Result<Option<Tensor>> {
        let dropped = ["attn_q.bias", "attn_k.bias", "attn_v.bias"].contains(&slot.name);
        Ok((!dropped).then_some(vector))
    }
}

struct SwappedGateUp;

impl Operations for SwappedGateUp {
    fn source(&self, slot: Slot<'_>) -> String {
        let name = match slot.name {
            "ffn_gate.weight" => "ffn_up.weight",
            "ffn_up.weight" => "ffn_gate.weight",
            other => other,
        };
        Slot { name, ..slot }.full_name()
    }
}

struct Transposed(String);

impl Operations for Transposed {
    fn matrix(&self, slot: Slot<'_>, stored: QTensor) -> Result<Matrix> {
        if slot.name != self.0 {
            return Ok(Matrix::Stored(stored));
        }
        Ok(Matrix::Dense(
            stored.dequantize(&stored.device())?.t()?.contiguous()?,
        ))
    }
}
