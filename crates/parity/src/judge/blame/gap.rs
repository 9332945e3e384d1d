//! What lies uncaptured between checkpoints.

use crate::align::{Place, Stage};
use std::collections::BTreeSet;

/// Which kinds of steps nobody captured between a checkpoint and what it is computed from: those only that every decoder has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Scores, probabilities or context.
    pub attention: bool,
    /// Any other.
    pub other: bool,
}

impl Gap {
    /// True where nothing is missing.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn add(&mut self, place: Place) {
        if attends(place) {
            self.attention = true;
        } else {
            self.other = true;
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        self.attention |= other.attention;
        self.other |= other.other;
    }
}

/// Whether a step is a part of what fused attention does in one.
pub(super) fn attends(place: Place) -> bool {
    matches!(
        place,
        Place::Layer(_, Stage::AttnScores | Stage::AttnProbs | Stage::AttnContext)
    )
}

/// Whether a model may well be without this step; a step that some layer has is missed in the others.
pub(super) fn is_optional(place: Place, stages: &BTreeSet<Stage>) -> bool {
    let Place::Layer(_, stage) = place else {
        return false;
    };
    let rare = stage.is_expert()
        || matches!(
            stage,
            Stage::QNorm
                | Stage::KNorm
                | Stage::QRope
                | Stage::KRope
                | Stage::FfnGate
                | Stage::FfnAct
                | Stage::AttnPostNorm
                | Stage::FfnPostNorm
        );
    rare && !stages.contains(&stage)
}
