//! Mixtures of experts, with the numbers that the reference uses.

use crate::align::Stage;
use crate::explain::numbers::factor;
use crate::explain::{Scene, Side};
use crate::recompute::{ExpertWeights, expert_sum, expert_weights};
use crate::tensor::Dense;
use std::rc::Rc;

/// How weights of chosen experts are made of the router's probabilities.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The candidate's probabilities, `[tokens, experts]`.
    pub probs: Rc<Dense>,
    /// The experts that it chose, `[tokens, chosen]`.
    pub chosen: Rc<Dense>,
    /// Whether the reference makes the weights of a token sum to one (or takes the softmax of the chosen ones only,
    /// which is the same).
    pub normalised: bool,
    /// The reference's factor of all weights.
    pub scale: f64,
    /// What these numbers leave unexplained of the reference.
    pub reference_residual: f64,
}

impl Gathered {
    /// Weights made otherwise.
    pub fn with(&self, normalised: bool, scale: f64) -> Option<Dense> {
        let rule = ExpertWeights { normalised, scale };
        expert_weights(&rule, &self.probs, &self.chosen).ok()
    }

    /// Weights as the reference makes them.
    pub fn expected(&self) -> Option<Dense> {
        self.with(self.normalised, self.scale)
    }

    pub(super) fn find(scene: &Scene<'_>) -> Option<Self> {
        let of = |side| -> Option<Self> {
            Some(Self {
                probs: scene.stage(side, Stage::FfnRouterProbs)?,
                chosen: scene.stage(side, Stage::FfnExperts)?,
                normalised: false,
                scale: 1.0,
                reference_residual: f64::INFINITY,
            })
        };
        let reference = of(Side::Reference)?;
        let mut found = of(Side::Candidate)?;
        for normalised in [true, false] {
            let Some(plain) = reference.with(normalised, 1.0) else {
                continue;
            };
            let pairs = scene.reference.data.iter().copied().zip(plain.data);
            let scale = factor(pairs).unwrap_or(1.0);
            let scale = if (scale - 1.0).abs() < 1e-5 {
                1.0
            } else {
                scale
            };
            let made = reference.with(normalised, scale)?;
            let left = scene.reference_residual(&made);
            if left < found.reference_residual {
                (found.normalised, found.scale, found.reference_residual) =
                    (normalised, scale, left);
            }
        }
        Some(found)
    }
}

/// What the expert that all tokens share is multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// There is none, or it is not added.
    Absent,
    /// One.
    Whole,
    /// Its gate's sigmoid.
    Gated,
}

/// How the outputs of experts are summed.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// The candidate's experts, `[tokens, chosen, n]`.
    pub outputs: Rc<Dense>,
    /// Their weights, `[tokens, chosen]`.
    pub weights: Rc<Dense>,
    /// The expert that all tokens share, `[tokens, n]`.
    pub shared: Option<Rc<Dense>>,
    /// Its weight, `[tokens, 1]`.
    pub gate: Option<Rc<Dense>>,
    /// What the reference does with it.
    pub form: Shared,
    /// What that leaves unexplained of the reference.
    pub reference_residual: f64,
}

impl Mixture {
    /// The sum of the chosen experts with any weights.
    pub fn routed(&self, weights: &Dense) -> Option<Dense> {
        expert_sum(&[self.outputs.as_ref().clone(), weights.clone()]).ok()
    }

    /// What the shared expert adds.
    pub fn added(&self, form: Shared) -> Option<Dense> {
        let shared = self.shared.as_ref()?;
        Some(match form {
            Shared::Absent => shared.map(|_| 0.0),
            Shared::Whole => shared.as_ref().clone(),
            Shared::Gated => self.gated(shared)?,
        })
    }

    /// Every row times the shared expert's weight.
    pub fn gated(&self, rows: &Dense) -> Option<Dense> {
        let gate = self.gate.as_ref()?;
        let mut made = rows.clone();
        let width = made.row_len().max(1);
        if gate.data.len() != made.data.len() / width {
            return None;
        }
        let rows = made.data.chunks_mut(width).zip(&gate.data);
        rows.for_each(|(row, gate)| row.iter_mut().for_each(|x| *x *= gate));
        Some(made)
    }

    /// The sum with other weights or another share of the shared expert.
    pub fn with(&self, weights: &Dense, form: Shared) -> Option<Dense> {
        let routed = self.routed(weights)?;
        match self.added(form) {
            Some(added) => routed.zip(&added, |routed, added| routed + added),
            None => Some(routed),
        }
    }

    /// The sum as the reference makes it.
    pub fn expected(&self) -> Option<Dense> {
        self.with(&self.weights, self.form)
    }

    pub(super) fn find(scene: &Scene<'_>) -> Option<Self> {
        let of = |side| -> Option<Self> {
            Some(Self {
                outputs: scene.stage(side, Stage::FfnExpertOut)?,
                weights: scene.stage(side, Stage::FfnExpertWeights)?,
                shared: scene.stage(side, Stage::FfnSharedOut),
                gate: scene.stage(side, Stage::FfnSharedWeight),
                form: Shared::Absent,
                reference_residual: f64::INFINITY,
            })
        };
        let reference = of(Side::Reference)?;
        let mut found = of(Side::Candidate)?;
        for form in [Shared::Gated, Shared::Whole, Shared::Absent] {
            let Some(made) = reference.with(&reference.weights, form) else {
                continue;
            };
            let left = scene.reference_residual(&made);
            if left < found.reference_residual {
                (found.form, found.reference_residual) = (form, left);
            }
        }
        Some(found)
    }
}
