//! What a node tells about checkpoints that were copied before it.

use std::ops::Deref;

use orch_log::Recorder;

use super::Session;
use crate::held::Held;
use crate::naming::Place;
use crate::node::{Node, NodeData};

impl<R: Deref<Target = Recorder>> Session<R> {
    /// Whether a held checkpoint is only known once the node, at `places`, was seen.
    pub(super) fn amends<N: Node>(&self, node: &N, places: &[Place]) -> bool {
        let waits = |point: &str| self.pending.iter().any(|held| held.point == point);
        places.iter().any(|place| match place.point {
            "attn_probs" => waits("attn_scores"),
            "ffn_act" => has_both_halves(node) && waits("ffn_up"),
            _ => false,
        })
    }

    /// Corrects what is held of `block` by what `node`, at `place`, does with it.
    pub(super) fn amend<N: Node>(&mut self, node: &N, place: &Place, block: usize) {
        match place.point {
            "attn_probs" => self.scale_scores(block, node.op_param(0)),
            "ffn_act" if has_both_halves(node) => self.split_gate_and_up(node, place, block),
            _ => {}
        }
    }

    /// Whether anything of the place may be written. The product of `ffn_up.weight` may turn out to be the gate too.
    pub(super) fn keeps(&self, place: &Place) -> bool {
        let gate = || Place {
            point: "ffn_gate",
            ..*place
        };
        self.passes(&place.name()) || (place.point == "ffn_up" && self.passes(&gate().name()))
    }

    /// A checkpoint that a later node took the name of stays under ggml's.
    pub(super) fn keep_replaced(&mut self, replaced: Held) {
        let occurrence = self.occurrence(&replaced.node);
        self.pending.push(Held {
            name: replaced.node.clone(),
            point: "",
            occurrence,
            ..replaced
        });
    }

    fn held(&mut self, block: usize, point: &str) -> Option<&mut Held> {
        self.pending
            .iter_mut()
            .find(|held| held.point == point && held.rank.0 == block)
    }

    /// ggml multiplies the scores by 1/√d inside the softmax; the checkpoint is scaled.
    fn scale_scores(&mut self, block: usize, factor: f32) {
        if let Some(Held {
            data: NodeData::F32(scores),
            ..
        }) = self.held(block, "attn_scores")
        {
            scores.iter_mut().for_each(|score| *score *= factor);
        }
    }

    /// An activation with one input gates its second half by its first: the two were one product.
    fn split_gate_and_up<N: Node>(&mut self, node: &N, place: &Place, block: usize) {
        let name = |point| Place { point, ..*place }.name();
        let Some(up) = self.held(block, "ffn_up") else {
            return;
        };
        let Some(gate) = up.split_off_first_half() else {
            return;
        };
        let gate = Held {
            name: name("ffn_gate"),
            point: "ffn_gate",
            rank: crate::order::rank(place.layer, "ffn_gate").unwrap_or(up.rank),
            ..gate
        };
        self.pending.push(gate);
        if let Some(product) = node.src(0) {
            self.graph.insert(&product, 0, &name("ffn_gate"));
        }
    }
}

/// Whether `node` gates one half of its only input by the other.
fn has_both_halves<N: Node>(node: &N) -> bool {
    matches!(node.op().as_str(), "SWIGLU" | "GEGLU" | "REGLU") && node.src(1).is_none()
}
