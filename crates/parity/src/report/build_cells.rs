//! From the lines that are kept of all pairs to the report's cells and edges.

use super::{Number, v1};
use crate::align::{NameId, Names};
use crate::judge::{Graph, PairSummary, Tally};
use std::collections::HashMap;

/// One line for each pair whose name is listed, in the order in which the pairs were complete.
pub(crate) fn cells(tally: &Tally, checkpoints: &[v1::CheckpointSummary]) -> v1::Cells {
    let index = index(checkpoints);
    let mut cells = v1::Cells {
        left_out: tally.pairs_left_out(),
        positions_a_line: 1,
        ..v1::Cells::default()
    };
    for pair in tally.pairs() {
        let Some(checkpoint) = index.get(tally.name(pair.name)) else {
            cells.left_out += 1;
            continue;
        };
        cells.checkpoint.push(*checkpoint);
        cells.token_idx.push(pair.token_idx);
        cells.n_tokens.push(pair.n_tokens);
        cells.step.push(pair.step);
        cells.seq.push(pair.seq);
        cells.nmse.push(Number(pair.nmse));
        let difference = pair.max_abs_diff.map(f64::from);
        cells.max_abs_diff.push(difference.map(Number));
        let floor = floor(pair, &checkpoints[*checkpoint as usize]);
        cells.floor.push(floor.map(Number));
        cells.above_limit.push(pair.above_limit);
    }
    cells
}

/// Relative RMSE that is still noise: what the errors of the inputs and the operation's own rounding explain, or the
/// limit where neither is known.
fn floor(pair: &PairSummary, checkpoint: &v1::CheckpointSummary) -> Option<f64> {
    let limit = checkpoint.max_nmse.map(|limit| limit.0.sqrt());
    let Some(local) = pair.local else {
        return limit;
    };
    let error = pair.relative_rmse();
    // Where the operation was recomputed, error and noise are those of its own step: their ratio is what can be shown
    // beside the pair's error.
    match local.excess() {
        excess if excess > 0.0 && error > 0.0 => Some(error / excess),
        _ => limit,
    }
}

fn index(checkpoints: &[v1::CheckpointSummary]) -> HashMap<&str, u32> {
    checkpoints
        .iter()
        .zip(0..)
        .map(|(checkpoint, index)| (checkpoint.checkpoint.as_str(), index))
        .collect()
}

/// Which of the checkpoints is computed from which.
pub(crate) fn edges(checkpoints: &[v1::CheckpointSummary]) -> Vec<v1::Edge> {
    let mut names = Names::default();
    let ids: Vec<Option<NameId>> = checkpoints
        .iter()
        .map(|checkpoint| names.id(&checkpoint.checkpoint))
        .collect();
    let index: HashMap<NameId, u32> = ids
        .iter()
        .zip(0..)
        .filter_map(|(id, at)| Some(((*id)?, at)))
        .collect();
    let graph = Graph::of(&names, |_| &[]);
    let into = |(id, to): (&Option<NameId>, u32)| -> Vec<v1::Edge> {
        let inputs = id.map_or(&[][..], |id| &graph.origins(id).inputs);
        let from = inputs.iter().filter_map(|input| index.get(input));
        from.map(|from| v1::Edge { from: *from, to }).collect()
    };
    ids.iter().zip(0..).flat_map(into).collect()
}
