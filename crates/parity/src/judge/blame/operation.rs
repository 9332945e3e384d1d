//! How an operation hands on the errors of its inputs.

use crate::align::{Place, Stage};

/// Operations with the same arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Product with a weight matrix.
    Linear,
    /// Division by the root mean square, multiplication with a weight.
    Norm,
    /// Rotation of pairs of lanes.
    Rope,
    /// Queries times keys.
    Scores,
    /// Softmax.
    Probs,
    /// Probabilities times values.
    Context,
    /// Sum of two tensors.
    Residual,
    /// Non-linearity, times the up projection where there is one.
    Activation,
    /// Choice of experts: a near tie may fall either way.
    Choice,
    /// Scores to context in one, where neither scores nor probabilities are to be seen.
    FusedAttention,
    /// Several steps in one, or a step of which nothing is known.
    Unknown,
}

impl Kind {
    /// The kind of the step to `place` from its direct inputs.
    pub fn of(place: Place) -> Self {
        let Place::Layer(_, stage) = place else {
            return match place {
                Place::FinalNorm => Self::Norm,
                Place::Logits => Self::Linear,
                _ => Self::Unknown,
            };
        };
        match stage {
            Stage::AttnNorm
            | Stage::QNorm
            | Stage::KNorm
            | Stage::AttnPostNorm
            | Stage::FfnNorm
            | Stage::FfnPostNorm => Self::Norm,
            Stage::Q
            | Stage::K
            | Stage::V
            | Stage::AttnOut
            | Stage::FfnGate
            | Stage::FfnUp
            | Stage::FfnRouter
            | Stage::FfnExpertGate
            | Stage::FfnExpertUp
            | Stage::FfnExpertOut
            | Stage::FfnSharedRouter
            | Stage::FfnSharedGate
            | Stage::FfnSharedUp
            | Stage::FfnSharedOut
            | Stage::FfnOut => Self::Linear,
            Stage::QRope | Stage::KRope => Self::Rope,
            Stage::AttnScores => Self::Scores,
            Stage::AttnProbs | Stage::FfnRouterProbs => Self::Probs,
            Stage::AttnContext => Self::Context,
            Stage::AttnResidual | Stage::Output => Self::Residual,
            Stage::FfnAct
            | Stage::FfnExpertAct
            | Stage::FfnSharedAct
            | Stage::FfnSharedWeight
            | Stage::FfnExpertWeights => Self::Activation,
            Stage::FfnExperts => Self::Choice,
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Norm => "norm",
            Self::Rope => "rope",
            Self::Scores => "scores",
            Self::Probs => "softmax",
            Self::Context => "context",
            Self::Residual => "residual",
            Self::Activation => "activation",
            Self::Choice => "choice",
            Self::FusedAttention => "fused attention",
            Self::Unknown => "unknown",
        }
    }
}

/// The error of one input, over the positions that count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Input {
    /// Relative RMSE.
    pub(super) error: f64,
    /// Root mean square of the reference's values.
    pub(super) rms: Option<f64>,
    /// Largest magnitude over root mean square.
    pub(super) crest: Option<f64>,
}

/// The relative RMSE that the inputs' errors explain in an output of root mean square `rms`.
///
/// # Source
///
/// First order of each operation, in magnitudes that were measured; `docs/noise.md` derives them and has the
/// largest ratios that clean runs showed.
pub(super) fn propagated(kind: Kind, inputs: &[Input], rms: Option<f64>) -> f64 {
    let together = inputs.iter().map(|input| input.error.powi(2)).sum::<f64>();
    let together = together.sqrt();
    let ratio = |input: &Input| match (input.rms, rms) {
        (Some(input), Some(output)) if output > 0.0 => input / output,
        _ => 1.0,
    };
    match kind {
        // Orthogonal: lengths stay.
        Kind::Rope => together,
        // Absolute errors add, whatever cancels in the values.
        Kind::Residual => inputs.iter().map(|input| input.error * ratio(input)).sum(),
        // An element that holds all the energy is divided away with its own error, and the rest shows.
        Kind::Norm => {
            let crest = inputs.iter().filter_map(|input| input.crest);
            together * crest.fold(2.0, f64::max)
        }
        // dp = p (ds − Σ p ds): the absolute errors of scores are relative ones of probabilities.
        Kind::Probs => {
            let absolute = |input: &Input| input.error * input.rms.unwrap_or(1.0).max(1.0);
            3.0 * inputs.iter().map(absolute).fold(0.0, f64::max)
        }
        // A weighted mean of values that nearly cancel is as much smaller as the measured magnitudes say.
        Kind::Context | Kind::FusedAttention => {
            let smaller = inputs.iter().map(ratio).fold(1.0, f64::max);
            together * smaller
        }
        Kind::Linear | Kind::Scores | Kind::Activation => 2.0 * together,
        Kind::Choice => f64::INFINITY,
        Kind::Unknown => 3.0 * together,
    }
}
