//! What a node tells about checkpoints that were copied before it.

use std::ops::Deref;

use orch_log::Recorder;

use super::{Session, Spot};
use crate::held::{Held, Numbers};
use crate::naming::Place;
use crate::node::{Node, NodeData};

impl<R: Deref<Target = Recorder>> Session<R> {
    /// Whether a held checkpoint is only known once the node that was looked at was seen.
    pub(super) fn amends<N: Node>(&self, node: &N) -> bool {
        let block = &self.pending[self.block..];
        let waits = |point: &str| block.iter().any(|held| held.point == point);
        self.spots.iter().any(|spot| match spot.place.point {
            "attn_probs" => waits("attn_scores"),
            "ffn_act" => has_both_halves(node) && waits("ffn_up"),
            _ => false,
        })
    }

    /// Corrects what is held of a block by what `node`, at `spot`, does with it.
    pub(super) fn amend<N: Node>(&mut self, node: &N, spot: &Spot) {
        let block = spot.rank.0;
        match spot.place.point {
            "attn_probs" => self.scale_scores(block, node.op_param(0)),
            "ffn_act" if has_both_halves(node) => self.split_gate_and_up(node, &spot.place, block),
            _ => {}
        }
    }

    /// Whether anything of the place may be written. The product of `ffn_up.weight` may turn out to be the gate too.
    pub(super) fn keeps(&self, spot: Spot) -> bool {
        let gate = || Place {
            point: "ffn_gate",
            ..spot.place
        };
        self.passes(self.names.text(spot.name))
            || (spot.place.point == "ffn_up" && self.passes(&gate().name()))
    }

    /// A checkpoint that a later node took the name of stays under ggml's, where all nodes are asked for.
    pub(super) fn replace(&mut self, replaced: Held) {
        let Some(node) = replaced.node else {
            if let Numbers::Elements(data) = replaced.data {
                self.memory.give_back(data);
            }
            return;
        };
        let name = self.names.text(node).to_owned();
        let occurrence = self.occurrence(&name);
        self.pending.push(Held {
            name: node,
            point: "",
            occurrence,
            ..replaced
        });
    }

    fn held(&mut self, block: usize, point: &str) -> Option<&mut Held> {
        self.pending[self.block..]
            .iter_mut()
            .find(|held| held.point == point && held.rank.0 == block)
    }

    /// ggml multiplies the scores by 1/√d inside the softmax; the checkpoint is scaled.
    fn scale_scores(&mut self, block: usize, factor: f32) {
        if let Some(Held {
            data: Numbers::Elements(NodeData::F32(scores)),
            ..
        }) = self.held(block, "attn_scores")
        {
            scores.iter_mut().for_each(|score| *score *= factor);
        }
    }

    /// An activation with one input gates its second half by its first: the two were one product.
    fn split_gate_and_up<N: Node>(&mut self, node: &N, place: &Place, block: usize) {
        let name = self.names.of_place(&Place {
            point: "ffn_gate",
            ..*place
        });
        let Some(up) = self.held(block, "ffn_up") else {
            return;
        };
        let Some(gate) = up.split_off_first_half() else {
            return;
        };
        let gate = Held {
            name,
            point: "ffn_gate",
            rank: crate::order::rank(place.layer, "ffn_gate").unwrap_or(up.rank),
            ..gate
        };
        self.pending.push(gate);
        if let Some(product) = node.src(0) {
            self.graph.insert(&product, 0, name);
        }
    }
}

/// Whether `node` gates one half of its only input by the other.
fn has_both_halves<N: Node>(node: &N) -> bool {
    matches!(node.op(), "SWIGLU" | "GEGLU" | "REGLU") && node.src(1).is_none()
}
