//! One compact line for every compared pair.

use super::blame::LocalError;
use super::own::storage_unit;
use crate::align::{Key, NameId, Pair};
use crate::measure::{Basis, Measured};

/// What an error rests on; [`Basis`] without its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// All compared elements.
    AllElements,
    /// The first elements only.
    FirstElements,
    /// Sketches of the whole tensors.
    Sketches,
    /// Statistics of the whole tensors: the error is at least this.
    Statistics,
}

impl From<Basis> for Evidence {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Exact { .. } => Self::AllElements,
            Basis::First { .. } => Self::FirstElements,
            Basis::Sketch { .. } => Self::Sketches,
            Basis::AtLeast { .. } => Self::Statistics,
        }
    }
}

/// One compared pair, small enough that all pairs of a long run stay in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairSummary {
    /// Checkpoint name, as [`Tally::name`](super::Tally::name) spells it.
    pub name: NameId,
    /// Position of the first token.
    pub token_idx: i64,
    /// Token positions that were compared.
    pub n_tokens: u32,
    /// Sequence in a batch.
    pub seq: u32,
    /// How many records of this name the step already had.
    pub occurrence: u32,
    /// Process of a tensor-parallel run.
    pub rank: u32,
    /// Elements of the compared shape.
    pub elements: u64,
    /// Forward pass.
    pub step: Option<u32>,
    /// Where the reference's record begins in its file.
    pub offset_bytes: u64,
    /// Squared error over squared magnitude; infinite where non-finite values do not match.
    pub nmse: f64,
    /// The largest absolute difference known of.
    pub max_abs_diff: Option<f32>,
    /// Root mean square of the reference's compared elements, or of the whole tensor where only that is known.
    pub reference_rms: Option<f32>,
    /// Their largest magnitude over their root mean square.
    pub reference_crest: Option<f32>,
    /// Rounding unit of the coarser of the two storage types, relative; 0 from 32-bit floats on.
    pub storage_unit: f32,
    /// What the operation adds to its inputs' errors; `None` until all pairs are known, and where a threshold decides.
    pub local: Option<LocalError>,
    /// What `nmse` rests on.
    pub rests_on: Evidence,
    /// Everything that both records hold is bit-identical.
    pub identical: bool,
    /// `nmse` exceeds the limit of its checkpoint.
    pub above_limit: bool,
}

impl PairSummary {
    /// How many pairs are kept: about 120 MB. What comes after is counted, not kept.
    pub const MAX: usize = 1 << 20;

    pub(super) fn of(
        name: NameId,
        pair: &Pair,
        n_tokens: u64,
        measured: &Measured,
        above_limit: bool,
    ) -> Self {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let Key {
            token_idx,
            seq,
            occurrence,
            rank,
            ..
        } = pair.key;
        let rms = reference_rms(pair, measured);
        let dtypes = [&pair.reference, &pair.candidate].map(|side| side.record.dtype);
        Self {
            name,
            token_idx,
            n_tokens: small(n_tokens),
            seq: small(seq),
            occurrence: small(occurrence),
            rank: small(rank),
            elements: measured.partial.elements,
            step: pair.reference.record.step.map(small),
            offset_bytes: pair.reference.offset_bytes,
            nmse: measured.nmse,
            max_abs_diff: measured.max_abs_diff.map(|difference| difference as f32),
            reference_rms: rms.map(|rms| rms as f32),
            reference_crest: crest(pair, measured, rms).map(|crest| crest as f32),
            storage_unit: dtypes.map(storage_unit).into_iter().fold(0.0, f64::max) as f32,
            local: None,
            rests_on: measured.nmse_basis.into(),
            identical: measured.identical,
            above_limit,
        }
    }

    /// √NMSE: the error relative to the reference's magnitude.
    pub fn relative_rmse(&self) -> f64 {
        self.nmse.sqrt()
    }

    /// The positions that were compared.
    pub fn positions(&self) -> std::ops::Range<i64> {
        self.token_idx..self.token_idx.saturating_add(i64::from(self.n_tokens))
    }
}

fn reference_rms(pair: &Pair, measured: &Measured) -> Option<f64> {
    let partial = &measured.partial;
    if measured.basis.is_exact() && partial.finite > 0 {
        return Some((partial.sum_sq_reference / partial.finite as f64).sqrt());
    }
    let stats = pair.reference.record.stats.as_ref()?;
    stats.rms.is_finite().then_some(stats.rms)
}

fn crest(pair: &Pair, measured: &Measured, rms: Option<f64>) -> Option<f64> {
    let rms = rms.filter(|rms| *rms > 0.0)?;
    let (min, max) = if measured.basis.is_exact() {
        let range = measured.partial.reference_range;
        (range.min, range.max)
    } else {
        let stats = pair.reference.record.stats.as_ref()?;
        (stats.min, stats.max)
    };
    let peak = min.abs().max(max.abs());
    peak.is_finite().then_some(peak / rms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_small_as_promised() {
        assert!(size_of::<PairSummary>() * PairSummary::MAX <= 120 << 20);
    }
}
