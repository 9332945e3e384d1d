//! How far logged results are from what their own logged inputs give.

use crate::align::NameId;
use crate::error::Error;
use crate::judge::{PairSummary, Tally};
use crate::recompute::{
    Arithmetic, Hparams, Inputs, Kind, Linear, Operation, Rows, Weights, distance, operation,
    recompute_near,
};
use crate::tensor::Dense;
use crate::trace::Index;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// Rows of one pair that a product with a matrix is computed for, unless the model of errors finds it suspicious: the
/// last ones, which a prompt's answer hangs on.
const PRODUCT_ROWS: i64 = 32;

/// Rows of pairs that follow each other for which a product is computed at once: reading the matrix is most of the work.
const ROWS_AT_ONCE: i64 = 64;

/// Records that one attention may read: each is looked up for each pair.
const CACHE_RECORDS: usize = 64;

/// Elements of results that are computed in all; what the model of errors finds suspicious is computed beyond them.
const ELEMENTS: u64 = 64 << 20;

/// What f64 may leave without the engine's arithmetic being tried, too: less than any limit.
const ENOUGH: f64 = 5e-7;

/// How far a logged result is from what its inputs give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deviation {
    /// Relative RMSE.
    pub(super) error: f64,
    /// An engine's arithmetic is nearer than f64, and is not looked into between two numbers as that of products is.
    pub(super) may_flip: bool,
}

/// What was not computed anew although it could have been, so that a report can say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotRecomputed {
    /// Products with a matrix of which the last rows were computed only.
    pub(crate) products_in_part: u64,
    /// Their rows that were not.
    pub(crate) rows: u64,
    /// Pairs past the amount of work that is done in all.
    pub(crate) past_work: u64,
}

impl NotRecomputed {
    /// Rows of a product that are computed in any case.
    pub(crate) const PRODUCT_ROWS: u64 = PRODUCT_ROWS as u64;
}

/// Whether the model of errors finds that a pair's operation adds more than rounding.
pub(super) fn is_suspicious(pair: &PairSummary) -> bool {
    pair.local.is_some_and(|local| local.excess() > 1.0)
}

/// Indices of pairs that are computed at once, each with its rows.
type Group = Vec<(usize, Range<i64>)>;

/// One trace, ready for computing.
pub(super) struct Side<'t> {
    pub(super) index: Index<'t>,
    pub(super) hparams: Hparams,
    /// Subtracted from a pair's positions.
    pub(super) offset: i64,
}

impl Side<'_> {
    /// The deviation of each pair that can be computed, and what was passed over.
    pub(super) fn deviations(
        &self,
        tally: &Tally,
        weights: &dyn Weights,
    ) -> Result<(Vec<(usize, Deviation)>, NotRecomputed), Error> {
        let (mut found, mut passed_over) = (BTreeMap::new(), NotRecomputed::default());
        let (groups, skipped) = self.groups(tally);
        for group in groups {
            let first = &tally.pairs()[group[0].0];
            let Some(operation) = operation(&self.hparams, tally.name(first.name)) else {
                continue;
            };
            let rows: Vec<Range<i64>> = group.iter().map(|(_, rows)| rows.clone()).collect();
            let seq = u64::from(first.seq);
            let deviations = self.of_rows(&operation, seq, &rows, weights, ENOUGH)?;
            for ((index, rows), deviation) in group.into_iter().zip(deviations) {
                let Some(deviation) = deviation else { continue };
                found.insert(index, deviation);
                let all = u64::from(tally.pairs()[index].n_tokens);
                let left = all.saturating_sub((rows.end - rows.start).unsigned_abs());
                passed_over.products_in_part += u64::from(left > 0);
                passed_over.rows += left;
            }
        }
        let computed: HashSet<NameId> = found
            .keys()
            .map(|index| tally.pairs()[*index].name)
            .collect();
        let could_be = |index: &&usize| computed.contains(&tally.pairs()[**index].name);
        passed_over.past_work = skipped.iter().filter(could_be).count() as u64;
        Ok((found.into_iter().collect(), passed_over))
    }

    /// Pairs that are computed, each with its rows; those that are computed at once lie together. And those that are not
    /// for the work that it takes.
    fn groups(&self, tally: &Tally) -> (Vec<Group>, Vec<usize>) {
        let mut skipped = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        // Of each product the group that the next rows may join.
        let mut last: HashMap<(&str, u32), usize> = HashMap::new();
        let mut spent = 0;
        for (index, pair) in tally.pairs().iter().enumerate() {
            if pair.occurrence != 0 || pair.rank != 0 {
                continue;
            }
            if spent > ELEMENTS && !is_suspicious(pair) {
                skipped.push(index);
                continue;
            }
            let name = tally.name(pair.name);
            let Some(operation) = operation(&self.hparams, name) else {
                continue;
            };
            spent += pair.elements;
            let rows = self.rows(&operation, pair);
            if !matches!(operation.kind, Kind::Linear(_)) {
                groups.push(vec![(index, rows)]);
                continue;
            }
            if let Some(at) = last.get(&(name, pair.seq))
                && let [(_, first), .., (_, before)] | [(_, first @ before)] = &groups[*at][..]
                && before.end == rows.start
                && rows.end - first.start <= ROWS_AT_ONCE
            {
                groups[*at].push((index, rows));
                continue;
            }
            last.insert((name, pair.seq), groups.len());
            groups.push(vec![(index, rows)]);
        }
        (groups, skipped)
    }

    /// The rows of a pair that are computed, as the trace counts them: all of what is suspicious, since the mistake may
    /// lie in any.
    fn rows(&self, operation: &Operation, pair: &PairSummary) -> Range<i64> {
        let mut rows = pair.positions();
        rows = rows.start - self.offset..rows.end - self.offset;
        if matches!(operation.kind, Kind::Linear(_)) && !is_suspicious(pair) {
            rows.start = rows.start.max(rows.end - PRODUCT_ROWS);
        }
        rows
    }

    /// The deviation of one pair; `None` where it cannot be computed.
    pub(super) fn deviation(
        &self,
        pair: &PairSummary,
        name: &str,
        weights: &dyn Weights,
        enough: f64,
    ) -> Result<Option<Deviation>, Error> {
        let Some(operation) = operation(&self.hparams, name) else {
            return Ok(None);
        };
        let rows = [self.rows(&operation, pair)];
        let mut found = self.of_rows(&operation, u64::from(pair.seq), &rows, weights, enough)?;
        Ok(found.pop().flatten())
    }

    /// The deviation of each of several ranges of rows that follow each other, by the arithmetic that is nearer; none
    /// where they cannot be computed. The engine's arithmetic is tried where f64 leaves more than `enough`.
    fn of_rows(
        &self,
        operation: &Operation,
        seq: u64,
        parts: &[Range<i64>],
        weights: &dyn Weights,
        enough: f64,
    ) -> Result<Vec<Option<Deviation>>, Error> {
        let mut nearest: Vec<Option<Deviation>> = vec![None; parts.len()];
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Ok(nearest);
        };
        let range = first.start..last.end;
        let reads_many = operation.inputs.iter().any(|input| {
            input.rows == Rows::All && self.index.pieces(&input.checkpoint).len() > CACHE_RECORDS
        });
        let is_whole = |input: &crate::recompute::Input| self.index.contains(&input.checkpoint);
        if reads_many || !operation.inputs.iter().all(is_whole) {
            return Ok(nearest);
        }
        let logged = self.index.rows(&operation.checkpoint, seq, range.clone())?;
        let inputs = Inputs::gather(operation, &self.index, seq, range.clone())?;
        let (Some(mut found), Ok(inputs)) = (logged, inputs) else {
            // One that is incomplete must not hide the others.
            if parts.len() > 1 {
                let (left, right) = parts.split_at(parts.len() / 2);
                nearest = self.of_rows(operation, seq, left, weights, enough)?;
                nearest.extend(self.of_rows(operation, seq, right, weights, enough)?);
            }
            return Ok(nearest);
        };
        let is_product = matches!(operation.kind, Kind::Linear(Linear { cap: None, .. }));
        for &arithmetic in Arithmetic::all(self.hparams.on_gpu) {
            // What cannot be computed so may be computed otherwise.
            let Ok(expected) =
                recompute_near(operation, &inputs, weights, arithmetic, &found, enough)
            else {
                continue;
            };
            // A batch that is compared in part has been logged with keys past that part, which its rows do not see.
            if matches!(operation.kind, Kind::Scores(_) | Kind::Probs(_)) {
                keep_first_keys(&mut found, expected.last_len());
            }
            if expected.data.len() != found.data.len() {
                continue;
            }
            for (part, nearest) in parts.iter().zip(&mut nearest) {
                let rows = (part.start - range.start) as usize..(part.end - range.start) as usize;
                let (expected, found) = (expected.rows_in(rows.clone()), found.rows_in(rows));
                let error = error(operation, part.clone(), expected, &found);
                if nearest.is_none_or(|nearest| error < nearest.error) {
                    let may_flip = arithmetic != Arithmetic::F64 && !is_product;
                    *nearest = Some(Deviation { error, may_flip });
                }
            }
            let is_near = |part: &Option<Deviation>| part.is_some_and(|part| part.error <= enough);
            if nearest.iter().all(is_near) {
                break;
            }
        }
        Ok(nearest)
    }
}

/// Cuts scores or probabilities to their first `kv` keys.
fn keep_first_keys(scores: &mut Dense, kv: usize) {
    let logged = scores.last_len();
    if kv == 0 || logged <= kv {
        return;
    }
    let rows = scores.data.chunks_exact(logged);
    scores.data = rows.flat_map(|row| &row[..kv]).copied().collect();
    if let Some(last) = scores.shape.last_mut() {
        *last = kv;
    }
}

/// The distance of all elements that count: keys after a row's own position are hidden by the mask.
fn error(operation: &Operation, rows: Range<i64>, mut expected: Dense, found: &Dense) -> f64 {
    if matches!(operation.kind, Kind::Scores(_)) && expected.data.len() == found.data.len() {
        let (row, kv) = (expected.row_len().max(1), expected.last_len().max(1));
        for (token, position) in rows.enumerate() {
            for at in token * row..(token + 1) * row {
                if (at % kv) as i64 > position {
                    expected.data[at] = found.data[at];
                }
            }
        }
    }
    distance(&expected, found)
}
