//! Non-linearities.

use crate::align::Stage;
use crate::explain::numbers::Narrow;
use crate::explain::{Scene, Side};
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
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match self {
            Self::Silu => x * sigmoid(x),
            Self::GeluTanh => gelu_tanh(x),
            Self::GeluTable => {
                if x <= -10.0 {
                    0.0
                } else if x >= 10.0 {
                    x
                } else {
                    Narrow::F16.round(gelu_tanh(Narrow::F16.round(x)))
                }
            }
            Self::GeluErf => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
            Self::QuickGelu => x * sigmoid(1.702 * x),
            Self::Relu => x.max(0.0),
            Self::ReluSquared => x.max(0.0) * x.max(0.0),
            Self::Identity => x,
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
        }
    }
}

fn gelu_tanh(x: f64) -> f64 {
    let root = (2.0 / std::f64::consts::PI).sqrt();
    0.5 * x * (1.0 + (root * (x + 0.044715 * x * x * x)).tanh())
}

/// The error function: its power series up to 3, beyond it the continued fraction of its complement, both carried on
/// until nothing changes.
///
/// # Source
///
/// Abramowitz and Stegun 7.1.5 and 7.1.14.
fn erf(x: f64) -> f64 {
    let z = x.abs();
    if z < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            let next = sum + term / f64::from(2 * n + 1);
            if next == sum {
                break;
            }
            sum = next;
        }
        return 2.0 / std::f64::consts::PI.sqrt() * sum;
    }
    let fraction = (1..=60)
        .rev()
        .fold(z, |rest, n| z + f64::from(n) / 2.0 / rest);
    let complement = (-z * z).exp() / std::f64::consts::PI.sqrt() / fraction;
    (1.0 - complement).copysign(x)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function() {
        // Abramowitz and Stegun, table 7.1.
        for (x, value) in [
            (0.5, 0.5204998778),
            (1.0, 0.8427007929),
            (2.0, 0.9953222650),
            (3.0, 0.9999779095),
        ] {
            assert!((erf(x) - value).abs() < 2e-9, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + value).abs() < 2e-9);
        }
        // The series' terms are up to 4e2 there and cancel, so that it is right to 4e2 · 2^-52.
        assert!(
            (erf(3.0 - 1e-12) - erf(3.0)).abs() < 1e-13,
            "both methods meet"
        );
    }
}
