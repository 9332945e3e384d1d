//! What checkpoints around the scene say about it.

use super::numbers::{factor, residual};
use super::{Kind, Scene, Side};
use crate::align::Stage;

/// Agreement of scores that makes a difference before them harmless.
const AGREES: f64 = 1e-4;

/// Architectures whose files hold queries, keys and values in one matrix.
const FUSED: [&str; 2] = ["gpt2", "phi3"];

impl Scene<'_> {
    /// Whether the projection is part of a matrix that makes several; `None` where neither file nor run tells.
    pub fn is_fused(&self) -> Option<bool> {
        if let Some(linear) = self.linear() {
            let part = linear.matrix.rows.len() * linear.matrix.columns();
            return Some(part < linear.matrix.weight.data.len());
        }
        let architecture = self.side(Side::Reference).architecture()?;
        let known = crate::recompute::Form::of(&architecture).is_some();
        known.then(|| FUSED.contains(&architecture.as_str()))
    }

    /// True where both sides' attention scores of this block agree, so that a difference of queries and keys is undone.
    pub fn scores_agree(&self) -> bool {
        let Some(checkpoint) = self.site.neighbour(Stage::AttnScores) else {
            return false;
        };
        Scene::new(self.known, &checkpoint, self.tokens.clone())
            .is_some_and(|scores| scores.residual_all(&scores.reference) < AGREES)
    }

    /// True at a norm of which one row alone differs: a factor of its own is what any mistake in its mean square makes of it.
    pub fn is_one_normed_row(&self) -> bool {
        let groups = self.candidate.row_len() / self.candidate.last_len().max(1);
        self.kind() == Kind::Norm && self.affected().len() * groups < 2
    }

    /// Where the first pass of one token stands, at which a graph would have been captured: if the scene's is a later pass of
    /// one token, and the candidate was right in that one.
    pub fn captured(&self) -> Option<i64> {
        let side = self.side(Side::Candidate);
        let passes = side.passes(&self.checkpoint).into_iter();
        let first = passes
            .filter(|pass| pass.start > 0 && pass.end - pass.start == 1)
            .min_by_key(|pass| pass.start)?;
        if first.start >= self.tokens.start || self.tokens.end - self.tokens.start != 1 {
            return None;
        }
        let start = first.start;
        let then = Scene::new(self.known, &self.checkpoint, first)?;
        let right = then.expected().unwrap_or_else(|| then.reference.clone());
        (then.residual_all(&right) < AGREES).then_some(start)
    }

    /// At scores: the factor by which the candidate's context is off from its own probabilities and values, where
    /// that is a factor and nothing else.
    pub fn values_scaled(&self) -> Option<f64> {
        if self.kind() != Kind::Scores {
            return None;
        }
        let checkpoint = self.site.neighbour(Stage::AttnContext)?;
        let context = Scene::new(self.known, &checkpoint, self.tokens.clone())?;
        context.attention()?.probs.as_ref()?;
        let expected = context.expected()?;
        let pairs = || {
            context
                .candidate
                .data
                .iter()
                .copied()
                .zip(expected.data.iter().copied())
        };
        let found = factor(pairs())?;
        let left = residual(pairs().map(|(found_at, expected)| (found_at, found * expected)));
        (left < AGREES && (found - 1.0).abs() > 1e-3).then_some(found)
    }

    /// The names of all that the operation reads at the scene's own positions.
    pub fn operands(&self) -> Vec<String> {
        use Stage as S;
        let stages: &[S] = match self.site.stage() {
            Some(S::AttnScores) => &[S::QRope, S::QNorm, S::Q, S::KRope, S::KNorm, S::K],
            Some(S::AttnProbs) => &[S::AttnScores],
            Some(S::AttnContext) => &[S::AttnProbs, S::V],
            Some(S::FfnAct) => &[S::FfnGate, S::FfnUp],
            Some(S::FfnExpertAct) => &[S::FfnExpertGate, S::FfnExpertUp],
            Some(S::FfnSharedAct) => &[S::FfnSharedGate, S::FfnSharedUp],
            Some(S::FfnExperts) => &[S::FfnRouterProbs],
            Some(S::FfnExpertWeights) => &[S::FfnRouterProbs, S::FfnExperts],
            Some(S::FfnOut) if self.kind() == Kind::ExpertSum => &[
                S::FfnExpertOut,
                S::FfnExpertWeights,
                S::FfnSharedOut,
                S::FfnSharedWeight,
            ],
            Some(S::AttnResidual) => &[S::AttnOut, S::AttnPostNorm],
            Some(S::Output) => &[S::FfnOut, S::FfnPostNorm, S::AttnResidual],
            _ => &[],
        };
        let mut names: Vec<String> = stages
            .iter()
            .filter_map(|stage| self.site.neighbour(*stage))
            .collect();
        if self.site.stage() == Some(S::AttnResidual) {
            names.extend(self.site.block_input());
        }
        names.extend(self.input_names());
        names.retain(|name| self.here(Side::Candidate, name).is_some());
        names.sort();
        names.dedup();
        names
    }

    /// The operand in which both sides disagree most, if they disagree by more than rounding.
    pub(super) fn worst_operand(&self) -> Option<String> {
        let disagreement = |name: &String| {
            let (a, b) = (
                self.here(Side::Reference, name)?,
                self.here(Side::Candidate, name)?,
            );
            let pairs = b.data.iter().copied().zip(a.data.iter().copied());
            (a.data.len() == b.data.len()).then(|| residual(pairs))
        };
        self.operands()
            .into_iter()
            .filter_map(|name| Some((disagreement(&name)?, name)))
            .filter(|(found, _)| *found > AGREES)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }
}
