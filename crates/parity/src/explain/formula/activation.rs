//! Non-linearities.

use crate::align::Stage;
use crate::explain::{Scene, Side};
use crate::recompute::{Activation as Formula, looked_up_gelu};
use crate::tensor::Dense;
use std::rc::Rc;

/// Functions that feed-forward networks use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// x·σ(x)
    Silu,
    /// GELU by its tanh form.
    GeluTanh,
    /// The same from a table over f16 that holds f16, as ggml has it on a CPU.
    GeluTable,
    /// GELU by the error function.
    GeluErf,
    /// x·σ(1.702x)
    QuickGelu,
    /// max(x, 0)
    Relu,
    /// max(x, 0)²
    ReluSquared,
    /// x
    Identity,
    /// σ(x)
    Sigmoid,
    /// tanh(x)
    Tanh,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Silu,
        Self::GeluTanh,
        Self::GeluTable,
        Self::GeluErf,
        Self::QuickGelu,
        Self::Relu,
        Self::ReluSquared,
        Self::Identity,
        Self::Sigmoid,
        Self::Tanh,
    ];

    /// Its name in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silu => "SiLU",
            Self::GeluTanh => "GELU (tanh form)",
            Self::GeluTable => "GELU (tanh form, ggml's f16 table)",
            Self::GeluErf => "GELU (error function)",
            Self::QuickGelu => "quick GELU, x·σ(1.702x)",
            Self::Relu => "ReLU",
            Self::ReluSquared => "squared ReLU",
            Self::Identity => "no non-linearity",
            Self::Sigmoid => "a sigmoid",
            Self::Tanh => "tanh",
        }
    }

    /// Its value.
    pub fn of(self, x: f64) -> f64 {
        let function = match self {
            Self::GeluTable => return looked_up_gelu(x),
            Self::Silu => Formula::Silu,
            Self::GeluTanh => Formula::GeluTanh,
            Self::GeluErf => Formula::GeluErf,
            Self::QuickGelu => Formula::GeluQuick,
            Self::Relu => Formula::Relu,
            Self::ReluSquared => Formula::ReluSquared,
            Self::Identity => Formula::Identity,
            Self::Sigmoid => Formula::Sigmoid,
            Self::Tanh => Formula::Tanh,
        };
        function.of(x)
    }
}

/// What the activation of a block is made of.
#[derive(Clone, Debug)]
pub struct Activation {
    /// What the reference applies.
    pub function: Function,
    /// What it is applied to, on the candidate's side.
    pub gate: Rc<Dense>,
    /// What it is multiplied with.
    pub up: Option<Rc<Dense>>,
    /// What the function leaves unexplained of the reference.
    pub reference_residual: f64,
}

impl Activation {
    /// The function of the reference, on the candidate's inputs.
    pub(super) fn find(scene: &Scene<'_>) -> Option<Self> {
        let inputs = |side| {
            let [gate, up] = match scene.site.stage() {
                Some(Stage::FfnExpertAct) => [Stage::FfnExpertGate, Stage::FfnExpertUp],
                Some(Stage::FfnSharedAct) => [Stage::FfnSharedGate, Stage::FfnSharedUp],
                _ => [Stage::FfnGate, Stage::FfnUp],
            };
            let (gate, up) = (scene.stage(side, gate), scene.stage(side, up));
            match gate {
                Some(gate) => Some((gate, up)),
                None => up.map(|up| (up, None)),
            }
        };
        let (gate, up) = inputs(Side::Reference)?;
        let judged = Function::ALL.map(|function| {
            let made = apply(&|x| function.of(x), &gate, up.as_deref());
            (scene.reference_residual(&made), function)
        });
        let (reference_residual, function) =
            judged.into_iter().min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        let (gate, up) = inputs(Side::Candidate)?;
        Some(Self {
            function,
            gate,
            up,
            reference_residual,
        })
    }

    /// Another function in the activation's place.
    pub fn with(&self, function: &dyn Fn(f64) -> f64) -> Dense {
        apply(function, &self.gate, self.up.as_deref())
    }
}

/// `function(gate) · up`.
pub fn apply(function: &dyn Fn(f64) -> f64, gate: &Dense, up: Option<&Dense>) -> Dense {
    let data = match up {
        Some(up) => gate
            .data
            .iter()
            .zip(&up.data)
            .map(|(gate, up)| function(*gate) * up)
            .collect(),
        None => gate.data.iter().map(|gate| function(*gate)).collect(),
    };
    Dense {
        shape: gate.shape.clone(),
        data,
    }
}
