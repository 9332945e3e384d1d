//! How much disagreement is rounding: measured, by kind of weights and by operation.

use super::activations::Product;
use super::blame::{Floor, Kind};
use super::calibration::Calibration;
use super::own::OwnRounding;
use super::summary::PairSummary;
use super::weights::WeightClass;
use crate::align::{Place, Stage};
use crate::trace::RunInfo;
use std::sync::Arc;

/// Rounding noise of one kind of weights.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ClassRow {
    class: WeightClass,
    /// Largest relative RMSE measured at a projection to queries or keys, the quietest operation.
    measured: f64,
    /// How many times the measured noise is still taken for noise.
    margin: f64,
    reason: &'static str,
}

/// # Source
///
/// llama.cpp against the worker on SmolLM2-135M, three prompts and sixteen forced tokens each, every canonical
/// checkpoint of all layers, one token at a time: `docs/noise.md` has the measurements. The forced tokens are random,
/// which makes more noise than text does. Margins are smaller where noise is larger, since a mistake moves a tensor
/// by its own magnitude at most: ten times the noise of 4-bit weights would hide everything.
const CLASSES: [ClassRow; 4] = [
    ClassRow {
        class: WeightClass::F32,
        measured: 9e-7,
        margin: 30.0,
        reason: "f32 weights and cache: the order of additions",
    },
    ClassRow {
        class: WeightClass::F16,
        measured: 1.4e-3,
        margin: 6.0,
        reason: "16-bit floats in weights, cache or fused attention, or products in TF32",
    },
    ClassRow {
        class: WeightClass::Bits8,
        measured: 3.8e-2,
        margin: 3.0,
        reason: "8-bit weights: llama.cpp rounds activations to 8 bits before each product",
    },
    ClassRow {
        class: WeightClass::Bits4,
        measured: 7.9e-2,
        margin: 2.5,
        reason: "weights of less than 8 bits: llama.cpp rounds activations to 8 bits before each product",
    },
];

/// Operations with about the same noise.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OperationRow {
    stages: &'static [Stage],
    /// Noise as a multiple of that of queries and keys.
    gain: f64,
    reason: &'static str,
}

/// # Source
///
/// The same measurements: ratios of the largest noise of these operations to that of queries and keys, in the middle of
/// what the classes of weights show.
const OPERATIONS: [OperationRow; 5] = [
    OperationRow {
        stages: &[Stage::Q, Stage::K, Stage::QRope, Stage::KRope],
        gain: 1.0,
        reason: "long sums of weights that are alike; rotation keeps the error's length",
    },
    OperationRow {
        stages: &[
            Stage::AttnNorm,
            Stage::AttnResidual,
            Stage::Output,
            Stage::QNorm,
            Stage::KNorm,
        ],
        gain: 1.7,
        reason: "the residual stream collects the noise of all layers before",
    },
    OperationRow {
        stages: &[
            Stage::V,
            Stage::AttnScores,
            Stage::AttnProbs,
            Stage::FfnNorm,
            Stage::FfnGate,
            Stage::FfnUp,
            Stage::FfnAct,
            Stage::FfnOut,
        ],
        gain: 2.7,
        reason: "products of two noisy tensors, and sums that cancel",
    },
    OperationRow {
        stages: &[
            Stage::FfnRouter,
            Stage::FfnRouterProbs,
            Stage::FfnExperts,
            Stage::FfnExpertWeights,
            Stage::FfnExpertGate,
            Stage::FfnExpertUp,
            Stage::FfnExpertAct,
            Stage::FfnExpertOut,
            Stage::FfnSharedRouter,
            Stage::FfnSharedWeight,
            Stage::FfnSharedGate,
            Stage::FfnSharedUp,
            Stage::FfnSharedAct,
            Stage::FfnSharedOut,
            Stage::FfnPostNorm,
        ],
        gain: 2.7,
        reason: "steps that the measured models lack: taken as their likes without experts",
    },
    OperationRow {
        stages: &[Stage::AttnContext, Stage::AttnOut, Stage::AttnPostNorm],
        gain: 4.0,
        reason: "a weighted mean of values that nearly cancel",
    },
];

/// Gain of what is outside the layers (logits show up to this much) or has a name of its own.
const OTHER_GAIN: f64 = 2.7;

/// How many times the noise between reference runs is still noise: they differ less among each other than from another
/// engine, and a few runs do not show the largest there is.
const CALIBRATED_MARGIN: f64 = 3.0;

/// The limits for a pair of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    row: &'static ClassRow,
    own: OwnRounding,
    calibration: Option<Arc<Calibration>>,
    /// Whether both run files name the weights; else at least one was taken for 16-bit floats.
    pub is_known: bool,
}

/// One limit and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationLimit {
    /// Names of the operations; empty for all others.
    pub operations: Vec<&'static str>,
    /// Largest NMSE that is still rounding.
    pub max_nmse: f64,
    /// Why these are noisier than others.
    pub reason: &'static str,
}

impl Noise {
    /// The limits of a class of weights.
    pub fn of_class(class: WeightClass, is_known: bool) -> Self {
        Self {
            row: &CLASSES[class as usize],
            own: OwnRounding::of_class(class),
            calibration: None,
            is_known,
        }
    }

    /// The limits for two runs: those of the coarser of the two.
    ///
    /// Where a run file does not name the weights, 16-bit floats are assumed, which is what most models are shipped
    /// as, and neither the strictest nor the laxest class.
    pub fn of_runs(reference: Option<&RunInfo>, candidate: Option<&RunInfo>) -> Self {
        let classes = [reference, candidate].map(|run| run.and_then(WeightClass::of_run));
        let is_known = classes.iter().all(Option::is_some);
        let [a, b] = classes.map(|class| class.unwrap_or(WeightClass::F16));
        Self {
            own: OwnRounding::of_runs([reference, candidate]),
            ..Self::of_class(a.max(b), is_known)
        }
    }

    /// The class of weights.
    pub fn class(&self) -> WeightClass {
        self.row.class
    }

    /// Where the noise comes from.
    pub fn reason(&self) -> &'static str {
        self.row.reason
    }

    /// The same with noise that was measured, where it was.
    pub fn calibrated(mut self, calibration: Option<Arc<Calibration>>) -> Self {
        self.calibration = calibration;
        self
    }

    /// The measured noise, if it was given.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_deref()
    }

    /// Largest NMSE of a checkpoint that is still rounding.
    pub fn max_nmse(&self, checkpoint: &str) -> f64 {
        if let Some(measured) = self.calibration().and_then(|noise| noise.of(checkpoint)) {
            return (measured.gathered * CALIBRATED_MARGIN)
                .max(Self::EXACT)
                .powi(2);
        }
        let gain = match Place::of(checkpoint) {
            Some(Place::Layer(_, stage)) => OPERATIONS
                .iter()
                .find(|row| row.stages.contains(&stage))
                .map_or(OTHER_GAIN, |row| row.gain),
            _ => OTHER_GAIN,
        };
        self.with_gain(gain)
    }

    /// How many times the error that inputs explain is still taken for theirs.
    pub(super) const PROPAGATION_MARGIN: f64 = 1.5;

    /// What runs of one engine agree to bit for bit another one still rounds.
    const EXACT: f64 = 4e-6;

    /// Relative RMSE that the last step to this pair may add by itself; for several steps in one, what the whole model
    /// may gather.
    pub(super) fn own_rounding(
        &self,
        kind: Kind,
        checkpoint: &str,
        pair: &PairSummary,
        product: Option<&Product>,
    ) -> (f64, Floor) {
        if let Some(measured) = self.calibration().and_then(|noise| noise.of(checkpoint)) {
            let own = match kind {
                Kind::Unknown => measured.gathered,
                _ => measured.own,
            };
            let own = (own * CALIBRATED_MARGIN).max(Self::EXACT);
            return (own, Floor::Calibrated);
        }
        let own = self
            .own
            .allowed(
                kind,
                pair.positions().end,
                f64::from(pair.storage_unit),
                product,
            )
            .unwrap_or_else(|| self.max_nmse(checkpoint).sqrt());
        (own, Floor::Model)
    }

    /// Relative RMSE that a step may show against its recomputation, for an engine that usually shows `usual`.
    /// `flips` is the share of what its weights explain that it may show at any time.
    pub(super) fn recomputed_rounding(
        &self,
        kind: Kind,
        pair: &PairSummary,
        usual: f64,
        flips: f64,
    ) -> f64 {
        self.own.recomputed(
            kind,
            pair.positions().end,
            f64::from(pair.storage_unit),
            (usual, flips),
            pair.elements as f64 / f64::from(pair.n_tokens.max(1)),
        )
    }

    /// NMSE is a squared error, the table is not.
    fn with_gain(&self, gain: f64) -> f64 {
        (self.row.measured * self.row.margin * gain).powi(2)
    }

    /// All limits, the smallest first; the last one is for everything that the others do not name.
    pub fn by_operation(&self) -> Vec<OperationLimit> {
        let mut limits: Vec<OperationLimit> = OPERATIONS
            .iter()
            .map(|row| OperationLimit {
                operations: row.stages.iter().map(|stage| stage.name()).collect(),
                max_nmse: self.with_gain(row.gain),
                reason: row.reason,
            })
            .collect();
        limits.push(OperationLimit {
            operations: Vec::new(),
            max_nmse: self.with_gain(OTHER_GAIN),
            reason: "embedding, final norm, logits and names outside the vocabulary",
        });
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_one_limit() {
        for stage in Stage::ALL {
            let rows = OPERATIONS
                .iter()
                .filter(|row| row.stages.contains(&stage))
                .count();
            assert_eq!(rows, 1, "{}", stage.name());
        }
    }

    #[test]
    fn coarser_weights_have_larger_limits_everywhere() {
        for (index, row) in CLASSES.iter().enumerate() {
            assert_eq!(row.class as usize, index);
        }
        let classes = CLASSES.map(|row| Noise::of_class(row.class, true));
        for name in ["layer_0_q", "layer_5_attn_out", "logits", "anything"] {
            assert!(
                classes
                    .windows(2)
                    .all(|pair| pair[0].max_nmse(name) < pair[1].max_nmse(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn by_hand() {
        // 9e-7 · 30 · 1 = 2.7e-5; 7.9e-2 · 2.5 · 4 = 0.79; squared.
        let f32 = Noise::of_class(WeightClass::F32, true);
        assert!((f32.max_nmse("layer_7_q_rope") / 7.29e-10 - 1.0).abs() < 1e-12);
        let q4 = Noise::of_class(WeightClass::Bits4, true);
        assert!((q4.max_nmse("layer_7_attn_out") / 0.6241 - 1.0).abs() < 1e-12);
    }
}
