//! Operations computed anew from the candidate's own inputs: what they add, without the noise they were given.

use super::learned::{Learned, distance};
use super::pairing::Context;
use crate::error::Error;
use crate::judge::{Floor, Kind as Step, LocalError, PairSummary, Tally};
use crate::recompute::{
    Arithmetic, Hparams, Hypothesis, Inputs, Kind, Operation, Rows, Weights, operation, recompute,
};
use crate::tensor::Dense;
use crate::trace::{Index, Trace};
use std::collections::BTreeMap;
use std::ops::Range;

/// Rows of one pair that a product with a matrix is computed for: the last ones, which a prompt's answer hangs on.
const PRODUCT_ROWS: i64 = 32;

/// Records that one attention may read: each is looked up for each pair.
const CACHE_RECORDS: usize = 64;

/// Elements of results that are computed in all; what the model of errors finds suspicious is computed beyond them.
const ELEMENTS: u64 = 64 << 20;

/// How many times the usual deviation of an engine's operations of one kind is still its arithmetic.
const USUAL: f64 = 30.0;

/// The share of what its class of weights explains that an engine with ggml's arithmetic may show: where two round an
/// activation that lies between two integers differently, a product differs by a step of that one element.
const FLIPS: f64 = 0.1;

/// How far a logged result is from what its inputs give.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    /// Relative RMSE.
    error: f64,
    /// The engine's arithmetic is nearer than f64.
    by_engine: bool,
}

/// One trace, ready for computing.
struct Side<'t> {
    index: Index<'t>,
    hparams: Hparams,
    /// Subtracted from a pair's positions.
    offset: i64,
}

/// Judges pairs by recomputation where the traces hold all that it takes.
///
/// `weights` are the model's; without them, what the reference teaches serves for operations without matrices.
///
/// # Errors
///
/// When a trace or the model cannot be read.
pub(super) fn judge_recomputed(
    context: &Context<'_>,
    tally: &mut Tally,
    weights: Option<&dyn Weights>,
) -> Result<(), Error> {
    if !has_payloads(tally) {
        return Ok(());
    }
    let reference = Index::new(context.reference)?;
    let learned = match weights {
        Some(_) => None,
        None => Learned::of(&reference, context.reference.run().info())?,
    };
    let weights: &dyn Weights = match (weights, &learned) {
        (Some(weights), _) => weights,
        (None, Some(learned)) => learned,
        (None, None) => return Ok(()),
    };
    let side = |index, trace: &Trace, offset| Side {
        index,
        hparams: weights.hparams().clone().for_run(trace.run().info()),
        offset,
    };
    let reference = side(reference, context.reference, 0);
    let candidate = side(
        Index::new(context.candidate)?,
        context.candidate,
        context.token_offset,
    );
    let deviations = deviations(tally, &candidate, weights)?;
    let usual = usual(tally, &deviations);
    let mut locals = Vec::new();
    for (pair_index, deviation) in deviations {
        let pair = tally.pairs()[pair_index];
        let name = tally.name(pair.name).to_owned();
        let kind = tally.judgement().step_kind(pair.name);
        let usual = usual.get(&(kind as u8)).copied().unwrap_or(0.0);
        let flips = if deviation.by_engine { FLIPS } else { 0.0 };
        let Some(own) = tally.recomputed_rounding(kind, &pair, USUAL * usual, flips) else {
            continue;
        };
        let deviation = deviation.error;
        let is_suspicious = pair.local.is_some_and(|local| local.excess() > 1.0);
        let local = |error: f64, floor| LocalError {
            error: error as f32,
            explained: 0.0,
            own: own as f32,
            floor,
        };
        if deviation <= own && !is_suspicious {
            locals.push((pair_index, local(deviation, Floor::Recomputed)));
            continue;
        }
        let Some(of_reference) = deviation_of(&reference, &pair, &name, weights, own)? else {
            continue;
        };
        let of_reference = of_reference.error;
        match (deviation <= own, of_reference <= own) {
            (true, true) | (false, true) => {
                locals.push((pair_index, local(deviation, Floor::Recomputed)));
            }
            (true, false) => {
                locals.push((pair_index, local(of_reference, Floor::RecomputedReference)));
            }
            // Both deviate alike: it is the formula that does not fit, and the model of errors that decides.
            (false, false) if of_reference > deviation / 10.0 => {}
            (false, false) => locals.push((pair_index, local(deviation, Floor::Recomputed))),
        }
    }
    tally.set_locals(&locals);
    Ok(())
}

fn has_payloads(tally: &Tally) -> bool {
    let whole = crate::judge::Evidence::AllElements;
    tally.pairs().iter().any(|pair| pair.rests_on == whole)
}

/// The deviation of each candidate's pair that can be computed.
fn deviations(
    tally: &Tally,
    candidate: &Side<'_>,
    weights: &dyn Weights,
) -> Result<Vec<(usize, Deviation)>, Error> {
    let mut found = Vec::new();
    let mut spent = 0;
    for (index, pair) in tally.pairs().iter().enumerate() {
        let is_suspicious = pair.local.is_some_and(|local| local.excess() > 1.0);
        if pair.occurrence != 0 || pair.rank != 0 || spent > ELEMENTS && !is_suspicious {
            continue;
        }
        let name = tally.name(pair.name);
        if let Some(deviation) = deviation_of(candidate, pair, name, weights, 1e-6)? {
            found.push((index, deviation));
            spent += pair.elements;
        }
    }
    Ok(found)
}

/// How far a logged result is from what its logged inputs give, by the arithmetic that is nearer; `None` where
/// that cannot be computed. The engine's arithmetic is tried where f64 leaves more than `enough`.
fn deviation_of(
    side: &Side<'_>,
    pair: &PairSummary,
    name: &str,
    weights: &dyn Weights,
    enough: f64,
) -> Result<Option<Deviation>, Error> {
    let Some(operation) = operation(&side.hparams, name) else {
        return Ok(None);
    };
    let seq = u64::from(pair.seq);
    let mut range = pair.positions();
    range = range.start - side.offset..range.end - side.offset;
    if matches!(operation.kind, Kind::Linear(_)) {
        range.start = range.start.max(range.end - PRODUCT_ROWS);
    }
    let reads_many = operation.inputs.iter().any(|input| {
        input.rows == Rows::All && side.index.pieces(&input.checkpoint).len() > CACHE_RECORDS
    });
    let is_whole = |input: &crate::recompute::Input| side.index.contains(&input.checkpoint);
    if reads_many || !operation.inputs.iter().all(is_whole) {
        return Ok(None);
    }
    let Some(mut found) = side.index.rows(name, seq, range.clone())? else {
        return Ok(None);
    };
    let Ok(inputs) = Inputs::gather(&operation, &side.index, seq, range.clone())? else {
        return Ok(None);
    };
    let mut nearest: Option<Deviation> = None;
    for arithmetic in [Arithmetic::F64, Arithmetic::Engine] {
        let none = Hypothesis::none();
        // What cannot be computed so may be computed otherwise.
        let Ok(expected) = recompute(&operation, &inputs, weights, arithmetic, &none) else {
            continue;
        };
        // A batch that is compared in part has been logged with keys past that part, which its rows do not see.
        if matches!(operation.kind, Kind::Scores(_) | Kind::Probs(_)) {
            keep_first_keys(&mut found, expected.last_len());
        }
        if expected.data.len() != found.data.len() {
            continue;
        }
        let error = deviation(&operation, range.clone(), expected, &found);
        if nearest.is_none_or(|nearest| error < nearest.error) {
            let by_engine = arithmetic == Arithmetic::Engine;
            nearest = Some(Deviation { error, by_engine });
        }
        if error <= enough {
            break;
        }
    }
    Ok(nearest)
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
fn deviation(operation: &Operation, rows: Range<i64>, mut expected: Dense, found: &Dense) -> f64 {
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

/// The median deviation of each kind of operation: what the engine's arithmetic does everywhere.
fn usual(tally: &Tally, deviations: &[(usize, Deviation)]) -> BTreeMap<u8, f64> {
    let mut by_kind: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    for (index, deviation) in deviations {
        let kind: Step = tally.judgement().step_kind(tally.pairs()[*index].name);
        by_kind.entry(kind as u8).or_default().push(deviation.error);
    }
    by_kind
        .into_iter()
        .map(|(kind, mut deviations)| {
            deviations.sort_by(f64::total_cmp);
            (kind, deviations[deviations.len() / 2])
        })
        .collect()
}
