//! Pairs in dataflow order: what is computed first comes first, wherever its line stands in the file.

use super::graph::Graph;
use crate::align::{NameId, Names, Place};
use crate::judge::summary::PairSummary;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The place of each name among all names.
///
/// A name outside the vocabulary stands where it first stood in the traces, after what it is computed from.
fn name_order(names: &Names, graph: &Graph) -> Vec<u32> {
    let count = names.iter().count();
    let ids: Vec<NameId> = names.iter().filter_map(|name| names.find(name)).collect();
    let mut last: Option<Place> = None;
    let priority: Vec<(Option<Place>, usize)> = ids
        .iter()
        .map(|id| {
            last = graph.place(*id).or(last);
            (last, id.index())
        })
        .collect();
    let mut missing: Vec<usize> = vec![0; count];
    let mut consumers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for id in &ids {
        for input in &graph.origins(*id).inputs {
            missing[id.index()] += 1;
            consumers[input.index()].push(id.index());
        }
    }
    let mut ready: BinaryHeap<_> = (0..count)
        .filter(|index| missing[*index] == 0)
        .map(|index| Reverse((priority[index], index)))
        .collect();
    let mut order = vec![u32::MAX; count];
    let mut next = 0;
    while let Some(Reverse((_, index))) = ready.pop() {
        order[index] = next;
        next += 1;
        for consumer in &consumers[index] {
            missing[*consumer] -= 1;
            if missing[*consumer] == 0 {
                ready.push(Reverse((priority[*consumer], *consumer)));
            }
        }
    }
    // Names that are logged as each other's input: no order is right, and that of the file does no harm.
    for place in order.iter_mut().filter(|place| **place == u32::MAX) {
        *place = next;
        next += 1;
    }
    order
}

/// Indices of `pairs` in dataflow order: by position, then by operation.
pub(super) fn dataflow_order(pairs: &[PairSummary], names: &Names, graph: &Graph) -> Vec<u32> {
    let of_name = name_order(names, graph);
    let mut order: Vec<u32> = (0..pairs.len() as u32).collect();
    order.sort_by_key(|index| {
        let pair = &pairs[*index as usize];
        (
            pair.token_idx,
            of_name[pair.name.index()],
            pair.seq,
            pair.rank,
            pair.occurrence,
            pair.offset_bytes,
        )
    });
    order
}
