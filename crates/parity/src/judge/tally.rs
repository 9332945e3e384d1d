//! What all measured pairs say together, in memory that does not grow with their number.

use super::bands::BandCounts;
use super::blame::{Floor, Judgement, Kind, LocalError, Origin, Unmeasured};
use super::criterion::{Limit, exceeds};
use super::detail::{Compared, Detail};
use super::first::First;
use super::summary::PairSummary;
use super::tolerance::{ToleranceUse, Tolerances};
use crate::align::{Key, NameId, Names, Pair};
use crate::measure::{Basis, Logits, Measured};
use std::collections::BTreeMap;

/// All pairs of one checkpoint name.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointTally {
    /// The name.
    pub checkpoint: String,
    /// Pairs compared.
    pub pairs: u64,
    /// Of them bit-identical.
    pub identical: u64,
    /// Of them above the limit.
    pub above_limit: u64,
    /// The limit; `None` where bands decide.
    pub max_nmse: Option<f64>,
    /// The largest NMSE.
    pub worst_nmse: f64,
    /// Where it is.
    pub worst_position: i64,
    /// What it rests on.
    pub worst_basis: Basis,
    /// The largest absolute difference known.
    pub max_abs_diff: Option<f64>,
    /// The smallest cosine similarity known.
    pub min_cosine: Option<f64>,
    /// What the operation adds where it adds most for what its inputs explain, and that position.
    pub worst_local: Option<(LocalError, i64)>,
}

/// How many pairs rest on what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasisCounts {
    /// On all compared elements.
    pub exact: u64,
    /// On the first elements only.
    pub first: u64,
    /// On the sketches of the whole tensors.
    pub sketch: u64,
    /// On the statistics of the whole tensors.
    pub stats: u64,
}

/// First divergence, worst offenders, counts by band and by checkpoint.
#[derive(Debug)]
pub struct Tally {
    limit: Limit,
    top: usize,
    /// Pairs compared.
    pub compared: u64,
    /// Of them bit-identical.
    pub identical: u64,
    /// Of them above the limit.
    pub above_limit: u64,
    /// Pairs by band.
    pub bands: BandCounts,
    /// Pairs by evidence.
    pub bases: BasisCounts,
    names: Names,
    checkpoints: Vec<CheckpointTally>,
    first: Option<First>,
    worst: Vec<Detail>,
    pairs: Vec<PairSummary>,
    pairs_left_out: u64,
    left_out_above_limit: u64,
    sources: Vec<Vec<String>>,
    /// Of each name and sequence the first position of a pair that could not be measured.
    unmeasured: BTreeMap<(String, u64), i64>,
    judgement: Judgement,
    logits: Logits,
}

impl Tally {
    /// Nothing measured yet; `top` worst offenders are kept.
    pub fn new(limit: Limit, top: usize) -> Self {
        Self {
            limit,
            top,
            compared: 0,
            identical: 0,
            above_limit: 0,
            bands: BandCounts::default(),
            bases: BasisCounts::default(),
            names: Names::default(),
            checkpoints: Vec::new(),
            first: None,
            worst: Vec::new(),
            pairs: Vec::new(),
            pairs_left_out: 0,
            left_out_above_limit: 0,
            sources: Vec::new(),
            unmeasured: BTreeMap::new(),
            judgement: Judgement::default(),
            logits: Logits::default(),
        }
    }

    /// Takes in one pair.
    pub fn add(&mut self, pair: &Pair, compared: Box<Compared>) {
        let measured = &compared.measured;
        // Names past the bound are counted in the totals, not one by one; the survey reports it.
        let name = self.names.id(&pair.key.checkpoint);
        let known = name.and_then(|name| self.checkpoints.get(name.index()));
        let max_nmse = match known {
            Some(tally) => tally.max_nmse,
            None => self.limit.max_nmse(&pair.key.checkpoint),
        };
        let above_limit = exceeds(measured, max_nmse);
        self.compared += 1;
        self.identical += u64::from(measured.identical);
        self.above_limit += u64::from(above_limit);
        if let Some(logits) = &measured.logits {
            self.logits.merge(logits);
        }
        self.bands.add(measured.max_abs_diff);
        match measured.nmse_basis {
            Basis::Exact { .. } => self.bases.exact += 1,
            Basis::First { .. } => self.bases.first += 1,
            Basis::Sketch { .. } => self.bases.sketch += 1,
            Basis::AtLeast { .. } => self.bases.stats += 1,
        }
        if let Some(name) = name {
            self.note_name(name, pair, measured, (max_nmse, above_limit));
        }
        self.keep_summary(name, pair, &compared, above_limit);
        let nmse = measured.nmse;
        if nmse > 0.0 && self.belongs_to_worst(&pair.key.checkpoint, nmse) {
            self.keep_worst(Detail::of(pair, *compared, &self.limit));
        }
    }

    fn note_name(
        &mut self,
        id: NameId,
        pair: &Pair,
        measured: &Measured,
        (max_nmse, above_limit): (Option<f64>, bool),
    ) {
        let key = &pair.key;
        let Some(tally) = self.checkpoints.get_mut(id.index()) else {
            self.sources.push(pair.reference.record.src.clone());
            self.checkpoints.push(CheckpointTally {
                checkpoint: key.checkpoint.clone(),
                pairs: 1,
                identical: u64::from(measured.identical),
                above_limit: u64::from(above_limit),
                max_nmse,
                worst_nmse: measured.nmse,
                worst_position: key.token_idx,
                worst_basis: measured.nmse_basis,
                max_abs_diff: measured.max_abs_diff,
                min_cosine: measured.cosine,
                worst_local: None,
            });
            return;
        };
        tally.pairs += 1;
        tally.identical += u64::from(measured.identical);
        tally.above_limit += u64::from(above_limit);
        if measured.nmse > tally.worst_nmse {
            tally.worst_nmse = measured.nmse;
            tally.worst_position = key.token_idx;
            tally.worst_basis = measured.nmse_basis;
        }
        let larger = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.max(b)).or(a).or(b);
        tally.max_abs_diff = larger(tally.max_abs_diff, measured.max_abs_diff);
        tally.min_cosine =
            larger(tally.min_cosine.map(|x| -x), measured.cosine.map(|x| -x)).map(|x| -x);
    }

    /// Takes in a pair that could not be measured: what reads it is not explained by what was.
    pub(crate) fn add_unmeasured(&mut self, key: &Key) {
        let name = (key.checkpoint.clone(), key.seq);
        let first = self.unmeasured.entry(name).or_insert(key.token_idx);
        *first = key.token_idx.min(*first);
    }

    /// Those of names that are known.
    fn unmeasured(&self) -> Unmeasured {
        let unmeasured = self.unmeasured.iter();
        let known = unmeasured.filter_map(|((name, seq), first)| {
            let seq = u32::try_from(*seq).ok()?;
            Some(((self.names.find(name)?, seq), *first))
        });
        known.collect()
    }

    /// Judges every pair by what its operation adds, once all are known.
    pub(crate) fn judge(&mut self) {
        let unmeasured = self.unmeasured();
        let (pairs, names) = (&mut self.pairs, &self.names);
        self.judgement = Judgement::of(pairs, names, &self.sources, unmeasured, &self.limit);
    }

    /// Replaces what is known of single pairs by something better.
    pub(crate) fn set_locals(&mut self, locals: &[(usize, LocalError)]) {
        for (index, local) in locals {
            self.pairs[*index].local = Some(*local);
        }
    }

    /// Relative RMSE that a recomputed operation may show; `None` where no noise is allowed for.
    pub(crate) fn recomputed_rounding(
        &self,
        kind: Kind,
        pair: &PairSummary,
        usual: f64,
        flips: f64,
    ) -> Option<f64> {
        match &self.limit {
            Limit::Noise(noise) => Some(noise.recomputed_rounding(kind, pair, usual, flips)),
            _ => None,
        }
    }

    /// Holds pairs to what the user tolerates instead, and says what became of each entry.
    pub(crate) fn apply(&mut self, tolerances: &Tolerances) -> Vec<ToleranceUse> {
        let mut uses = vec![ToleranceUse::default(); tolerances.entries.len()];
        if uses.is_empty() {
            return uses;
        }
        for pair in &mut self.pairs {
            let name = self.names.name(pair.name);
            let unit = f64::from(pair.storage_unit);
            let Some((index, entry)) = tolerances.find(name, unit) else {
                continue;
            };
            let (used, error) = (&mut uses[index], pair.relative_rmse());
            let exceeds = error.is_nan() || error > entry.max_relative_rmse;
            let was_blamed = match pair.local {
                Some(local) => local.excess() > 1.0 || pair.above_limit,
                None => pair.above_limit,
            };
            let allowed = pair
                .local
                .map(|local| f64::from(local.explained + local.own));
            let table = self.limit.max_nmse(name).map(f64::sqrt);
            let is_tighter = allowed
                .or(table)
                .is_some_and(|allowed| allowed > entry.max_relative_rmse);
            used.pairs += 1;
            used.excused += u64::from(was_blamed && !exceeds);
            used.tightened += u64::from(is_tighter);
            let tally = &mut self.checkpoints[pair.name.index()];
            let (before, after) = (u64::from(pair.above_limit), u64::from(exceeds));
            tally.above_limit = tally.above_limit - before + after;
            self.above_limit = self.above_limit - before + after;
            pair.above_limit = exceeds;
            pair.local = pair.local.map(|_| LocalError {
                error: error as f32,
                explained: 0.0,
                own: entry.max_relative_rmse as f32,
                floor: Floor::Tolerance,
            });
        }
        uses
    }

    /// Finds the origins among the pairs judged.
    pub(crate) fn find_origins(&mut self) {
        self.judgement
            .find_origins(&self.pairs, &self.names, &self.limit);
        for pair in &self.pairs {
            let worst = &mut self.checkpoints[pair.name.index()].worst_local;
            if let Some(local) = pair.local
                && worst.is_none_or(|(worst, _)| local.excess() > worst.excess())
            {
                *worst = Some((local, pair.token_idx));
            }
        }
    }

    fn keep_summary(
        &mut self,
        name: Option<NameId>,
        pair: &Pair,
        compared: &Compared,
        above_limit: bool,
    ) {
        match name {
            Some(name) if self.pairs.len() < PairSummary::MAX => {
                let (n_tokens, measured) = (compared.n_tokens, &compared.measured);
                self.pairs
                    .push(PairSummary::of(name, pair, n_tokens, measured, above_limit));
            }
            _ => {
                self.pairs_left_out += 1;
                self.left_out_above_limit += u64::from(above_limit);
            }
        }
    }

    fn belongs_to_worst(&self, checkpoint: &str, nmse: f64) -> bool {
        // By far the most, and without a look at names.
        if self.worst.len() >= self.top
            && self
                .worst
                .last()
                .is_none_or(|last| nmse <= last.measured.nmse)
        {
            return false;
        }
        match self
            .worst
            .iter()
            .find(|kept| kept.key.checkpoint == checkpoint)
        {
            Some(kept) => nmse > kept.measured.nmse,
            None => {
                self.worst.len() < self.top
                    || self
                        .worst
                        .last()
                        .is_some_and(|last| nmse > last.measured.nmse)
            }
        }
    }

    /// One place for each name: the ten worst positions of the logits would say less.
    fn keep_worst(&mut self, detail: Detail) {
        self.worst
            .retain(|kept| kept.key.checkpoint != detail.key.checkpoint);
        let at = self
            .worst
            .partition_point(|kept| kept.measured.nmse >= detail.measured.nmse);
        self.worst.insert(at, detail);
        self.worst.truncate(self.top);
    }

    /// What all differences of logits do to the next tokens.
    pub fn logits(&self) -> &Logits {
        &self.logits
    }

    /// What the pairs are judged by.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The first divergence.
    pub fn first(&self) -> Option<&First> {
        self.first.as_ref()
    }

    /// Tells what there is to show of the first divergence.
    pub(crate) fn set_first(&mut self, detail: Detail) {
        self.first = self.judgement.first().map(|origin| First {
            detail,
            inputs: origin.inputs.clone(),
            local: self.pairs[origin.first].local,
        });
    }

    /// All places where disagreement begins, the first in dataflow order first.
    pub fn origins(&self) -> &[Origin] {
        &self.judgement.origins
    }

    /// The judgement of all pairs.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// The pairs with the largest NMSE, one for each checkpoint name, the worst first.
    pub fn worst(&self) -> &[Detail] {
        &self.worst
    }

    /// All pairs in the order in which they were complete, the first [`PairSummary::MAX`] of them.
    pub fn pairs(&self) -> &[PairSummary] {
        &self.pairs
    }

    /// How many pairs [`Tally::pairs`] does not hold.
    pub fn pairs_left_out(&self) -> u64 {
        self.pairs_left_out
    }

    /// How many of them are above the limit.
    pub(crate) fn left_out_above_limit(&self) -> u64 {
        self.left_out_above_limit
    }

    /// Pairs above the limit whose difference comes to more than a convention that is undone later.
    pub(crate) fn harmful_above_limit(&self) -> bool {
        let undone = self
            .judgement
            .origins
            .iter()
            .filter(|origin| origin.undone_by.is_some());
        let undone: Vec<NameId> = undone
            .flat_map(|origin| origin.names.iter().copied())
            .collect();
        let mut kept = self.pairs.iter().filter(|pair| pair.above_limit);
        self.left_out_above_limit > 0 || kept.any(|pair| !undone.contains(&pair.name))
    }

    /// The checkpoint name of a pair.
    pub fn name(&self, id: NameId) -> &str {
        self.names.name(id)
    }

    /// All checkpoint names in the order in which their first pair was complete.
    pub fn checkpoints(&self) -> &[CheckpointTally] {
        &self.checkpoints
    }

    /// What is known of one name.
    pub fn checkpoint(&self, name: &str) -> Option<&CheckpointTally> {
        self.names
            .find(name)
            .map(|id| &self.checkpoints[id.index()])
    }
}
