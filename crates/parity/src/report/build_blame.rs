//! From the judgement to the report.

use super::Number;
use super::build_pair::{input_error, local_error};
use super::v1;
use crate::align::{Place, Stage};
use crate::compare::NotRecomputed;
use crate::judge::{Floor, Origin, Tally, ToleranceUse, Tolerances};

/// All origins.
pub(super) fn origins(tally: &Tally) -> Vec<v1::Origin> {
    tally
        .origins()
        .iter()
        .map(|found| origin(tally, found))
        .collect()
}

fn origin(tally: &Tally, origin: &Origin) -> v1::Origin {
    let pair = &tally.pairs()[origin.first];
    let uncaptured = tally.judgement().graph.uncaptured(pair.name);
    let uncaptured: Vec<String> = uncaptured.iter().map(|place| place.name()).collect();
    v1::Origin {
        checkpoints: origin
            .checkpoints
            .iter()
            .map(|id| tally.name(*id).to_owned())
            .collect(),
        layers: origin.layers.clone(),
        in_all_layers: origin.in_all_layers,
        token_idx: pair.token_idx,
        step: pair.step.map(u64::from),
        pairs: origin.pairs,
        local: pair.local.map(|local| local_error(&local, pair.token_idx)),
        inputs: origin.inputs.iter().map(input_error).collect(),
        undone_by: origin.undone_by.map(|id| tally.name(id).to_owned()),
        filter: filter(tally.name(pair.name), &uncaptured),
        uncaptured,
    }
}

/// A line for the shell that captures both ends of a gap and all between.
fn filter(checkpoint: &str, uncaptured: &[String]) -> Option<String> {
    if uncaptured.is_empty() {
        return None;
    }
    let layer = |name: &str| match Place::of(name) {
        Some(Place::Layer(layer, _)) => Some(layer),
        _ => None,
    };
    let layers: std::collections::BTreeSet<u32> =
        uncaptured.iter().filter_map(|name| layer(name)).collect();
    // Whole layers where there are many: one line must fit a terminal.
    let mut globs: Vec<String> = if uncaptured.len() <= 6 {
        uncaptured.to_vec()
    } else {
        let of_layer = |layer| format!("layer_{layer}_*");
        let rest = uncaptured.iter().filter(|name| layer(name).is_none());
        layers
            .into_iter()
            .map(of_layer)
            .chain(rest.cloned())
            .collect()
    };
    if !globs.iter().any(|glob| glob == checkpoint) {
        globs.push(checkpoint.to_owned());
    }
    Some(format!("ORCH_LOG_FILTER='tokens,{}'", globs.join(",")))
}

/// How many pairs were held against what, the surest first.
pub(super) fn floors(tally: &Tally) -> Vec<v1::FloorCount> {
    let all = [
        Floor::Recomputed,
        Floor::RecomputedReference,
        Floor::Tolerance,
        Floor::Calibrated,
        Floor::Model,
        Floor::Gathered,
    ];
    all.into_iter()
        .map(|floor| v1::FloorCount {
            floor: floor.name().to_owned(),
            pairs: tally
                .pairs()
                .iter()
                .filter(|pair| pair.local.is_some_and(|local| local.floor == floor))
                .count() as u64,
        })
        .filter(|count| count.pairs > 0)
        .collect()
}

/// What judging passed over.
pub(super) fn judged(tally: &Tally, not_recomputed: NotRecomputed) -> v1::Judged {
    v1::Judged {
        product_rows: NotRecomputed::PRODUCT_ROWS,
        products_in_part: not_recomputed.products_in_part,
        rows_not_recomputed: not_recomputed.rows,
        pairs_not_recomputed: not_recomputed.past_work,
        pairs_left_out: tally.pairs_left_out(),
    }
}

/// The error of the residual stream, layer by layer.
pub(super) fn growth(tally: &Tally) -> Vec<v1::Growth> {
    let mut stream: Vec<(Place, v1::Growth)> = tally
        .checkpoints()
        .iter()
        .filter_map(|checkpoint| {
            let place = Place::of(&checkpoint.checkpoint)?;
            let is_stream = matches!(
                place,
                Place::Embedding
                    | Place::Layer(_, Stage::Output)
                    | Place::FinalNorm
                    | Place::Logits
            );
            is_stream.then(|| {
                let growth = v1::Growth {
                    checkpoint: checkpoint.checkpoint.clone(),
                    relative_rmse: Number(checkpoint.worst_nmse.sqrt()),
                };
                (place, growth)
            })
        })
        .collect();
    stream.sort_by_key(|(place, _)| *place);
    stream.into_iter().map(|(_, growth)| growth).collect()
}

/// What became of each entry of a tolerance file.
pub(crate) fn tolerances(file: &Tolerances, uses: &[ToleranceUse]) -> Vec<v1::ToleranceUse> {
    file.entries
        .iter()
        .zip(uses)
        .map(|(entry, used)| v1::ToleranceUse {
            checkpoint: entry.checkpoint.clone(),
            dtype: entry.dtype.map(|dtype| dtype.to_string()),
            max_relative_rmse: Number(entry.max_relative_rmse),
            reason: entry.reason.clone(),
            pairs: used.pairs,
            excused: used.excused,
            tightened: used.tightened,
            needless: used.is_needless(),
        })
        .collect()
}
