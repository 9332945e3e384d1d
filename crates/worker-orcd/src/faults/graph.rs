//! Mistakes of captured graphs: what should change from token to token stays as it was when the pass was captured, which is
//! the first one after the prompt.

use std::sync::OnceLock;

use candle_core::Tensor;

use super::positions::placed;
use super::replace;
use super::{Fault, Needs};
use crate::ops::{At, causal_mask};

const FAMILY: Fault = Fault {
    family: "kernel_stride_graph",
    phase: "decode",
    ..Fault::BASE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "graph-token-frozen",
        summary: "feeds each replay the token of the captured pass",
        first: "embedding",
        build: |_, _| {
            let captured = OnceLock::<Tensor>::new();
            replace::embed(move |at, table, ids| match at.step {
                0 => table.index_select(ids, 0),
                _ => table.index_select(captured.get_or_init(|| ids.clone()), 0),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "graph-position-frozen",
        summary: "rotates each replay by the position of the captured pass",
        first: "layer_{L}_q_rope",
        needs: &[Needs::Rotary],
        build: |_, _| {
            let captured = Captured::default();
            replace::rope(move |at, _, x, rotation| {
                let first = captured.position(at);
                placed(x, rotation, |position| position - at.first + first)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "graph-learned-position-frozen",
        summary: "adds the learned position of the captured pass in each replay",
        first: "embedding",
        needs: &[Needs::LearnedPositions],
        build: |_, _| {
            let captured = Captured::default();
            replace::embed_positions(move |at, table, x| {
                x + table.narrow(0, captured.position(at), at.rows)?
            })
        },
        ..FAMILY
    },
    Fault {
        name: "graph-slot-frozen",
        summary: "writes each replay's keys and values where the captured pass wrote its own",
        first: "layer_{L}_attn_scores",
        by_token: false,
        build: |_, _| {
            let captured = Captured::default();
            replace::remember(move |at, cache, k, v| {
                cache.store(captured.position(at), k, v)?;
                cache.read(at.first + at.rows)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "graph-length-frozen",
        summary: "attends in each replay to as many positions as the captured pass had",
        first: "layer_{L}_attn_probs",
        build: |_, _| {
            let captured = Captured::default();
            replace::mask(move |at, kv| causal_mask(captured.position(at), at.rows, kv).map(Some))
        },
        ..FAMILY
    },
];

/// Where the pass stood that was captured.
#[derive(Default)]
struct Captured(OnceLock<usize>);

impl Captured {
    /// The position that a replay takes for its own; that of the prompt is right.
    fn position(&self, at: At) -> usize {
        match at.step {
            0 => at.first,
            _ => *self.0.get_or_init(|| at.first),
        }
    }
}
