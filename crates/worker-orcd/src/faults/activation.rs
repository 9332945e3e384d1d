//! Mistakes in the feed-forward network's non-linearity.

use candle_core::{DType, Result, Tensor};

use super::replace::{self, Built};
use super::{Fault, Needs};
use crate::arch::Activation;
use crate::ops::activate as correct;
use crate::ops::gelu_tanh;

const FAMILY: Fault = Fault {
    family: "activation",
    first: "layer_{L}_ffn_act",
    ..Fault::BASE
};

const SILU: Fault = Fault {
    needs: &[Needs::Activation(Activation::Silu)],
    ..FAMILY
};

const GELU: Fault = Fault {
    needs: &[Needs::Activation(Activation::Gelu)],
    ..FAMILY
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "gelu-for-silu",
        summary: "gates with GELU (tanh form) where the model has SiLU",
        build: |_, _| by(|gate| gate.gelu()),
        ..SILU
    },
    Fault {
        name: "silu-for-gelu",
        summary: "applies SiLU where the model has GELU",
        build: |_, _| by(|gate| gate.silu()),
        ..GELU
    },
    Fault {
        name: "gelu-erf-for-tanh",
        summary: "applies GELU by its error function where the model has the tanh form",
        build: |_, _| by(|gate| gate.gelu_erf()),
        ..GELU
    },
    Fault {
        name: "gelu-in-f32",
        summary: "computes GELU in f32, where ggml on a CPU looks it up in a table of half precision",
        build: |_, _| by(|gate| crate::ops::each(gate, gelu_tanh)),
        ..GELU
    },
    Fault {
        name: "quick-gelu",
        summary: "applies x·σ(1.702x)",
        build: |_, _| by(|gate| gate / ((gate * -1.702)?.exp()? + 1.0)?),
        ..FAMILY
    },
    Fault {
        name: "relu",
        summary: "applies max(x, 0)",
        build: |_, _| by(|gate| gate.relu()),
        ..FAMILY
    },
    Fault {
        name: "activation-missing",
        summary: "multiplies gate and up projection without a non-linearity",
        build: |_, _| by(|gate| Ok(gate.clone())),
        ..FAMILY
    },
    Fault {
        name: "activation-exp-f16",
        summary: "computes SiLU as x·eˣ/(1 + eˣ) in f16, which is NaN from x = 11.1 on",
        build: |_, _| {
            by(|gate| {
                let power = gate.to_dtype(DType::F16)?.exp()?;
                let share = (&power / (&power + 1.0)?)?.to_dtype(DType::F32)?;
                gate * share
            })
        },
        ..SILU
    },
    Fault {
        name: "swiglu-operands",
        family: "weight_layout",
        summary: "applies the non-linearity to the up projection and multiplies with the gate",
        needs: &[Needs::Tensor("ffn_gate.weight")],
        build: |_, _| {
            replace::activate(|_, activation, gate, up| match up {
                Some(up) => correct(activation, up, Some(gate)),
                None => correct(activation, gate, None),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "activation-in-place-twice",
        family: "kernel_stride_graph",
        summary: "applies the non-linearity in place and then once more to its own output",
        build: |_, _| {
            replace::activate(|_, activation, gate, up| {
                correct(activation, &correct(activation, gate, None)?, up)
            })
        },
        ..FAMILY
    },
];

/// Another function in the activation's place.
fn by(function: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Built {
    replace::activate(move |_, _, gate, up| match up {
        Some(up) => function(gate)? * up,
        None => function(gate),
    })
}
