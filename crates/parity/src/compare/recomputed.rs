//! Operations computed anew from the candidate's own inputs: what they add, without the noise they were given.

use super::deviation::{Deviation, NotRecomputed, Side, is_suspicious};
use super::learned::Learned;
use super::pairing::Context;
use crate::error::Error;
use crate::judge::{Floor, Kind as Step, LocalError, Tally};
use crate::recompute::Weights;
use crate::trace::Trace;
use std::collections::BTreeMap;

/// How many times the usual deviation of an engine's operations of one kind is still its arithmetic.
const USUAL: f64 = 30.0;

/// The share of what its class of weights explains that an engine with ggml's arithmetic may show: where two look up or round a
/// number that lies between two of a coarse format differently. Of products with matrices both are tried (`recompute_near`).
const FLIPS: f64 = 0.1;

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
) -> Result<NotRecomputed, Error> {
    if !has_payloads(tally) {
        return Ok(NotRecomputed::default());
    }
    let [reference, candidate] = context.indices()?;
    let learned = match weights {
        Some(_) => None,
        None => Learned::of(&reference, context.reference.run().info())?,
    };
    let weights: &dyn Weights = match (weights, &learned) {
        (Some(weights), _) => weights,
        (None, Some(learned)) => learned,
        (None, None) => return Ok(NotRecomputed::default()),
    };
    let side = |index, trace: &Trace, offset| Side {
        index,
        hparams: weights.hparams().clone().for_run(trace.run().info()),
        offset,
    };
    let reference = side(reference, context.reference, 0);
    let candidate = side(candidate, context.candidate, context.token_offset);
    let (deviations, not_recomputed) = candidate.deviations(tally, weights)?;
    let usual = usual(tally, &deviations);
    let mut locals = Vec::new();
    for (pair_index, deviation) in deviations {
        let pair = tally.pairs()[pair_index];
        let name = tally.name(pair.name).to_owned();
        let kind = tally.judgement().step_kind(pair.name);
        let usual = usual.get(&(kind as u8)).copied().unwrap_or(0.0);
        let flips = if deviation.may_flip { FLIPS } else { 0.0 };
        let Some(own) = tally.recomputed_rounding(kind, &pair, USUAL * usual, flips) else {
            continue;
        };
        let deviation = deviation.error;
        let local = |error: f64, floor| LocalError {
            error: error as f32,
            explained: 0.0,
            own: own as f32,
            floor,
        };
        if deviation <= own && !is_suspicious(&pair) {
            locals.push((pair_index, local(deviation, Floor::Recomputed)));
            continue;
        }
        let Some(of_reference) = reference.deviation(&pair, &name, weights, own)? else {
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
    Ok(not_recomputed)
}

fn has_payloads(tally: &Tally) -> bool {
    let whole = crate::judge::Evidence::AllElements;
    tally.pairs().iter().any(|pair| pair.rests_on == whole)
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
