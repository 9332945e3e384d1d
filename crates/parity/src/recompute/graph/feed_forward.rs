//! The points of a feed-forward part without experts.

use super::block::Block;
use super::linear;
use crate::recompute::kind::{Activate, Kind};
use crate::recompute::operation::Input;

impl Block<'_> {
    pub(super) fn feed_forward(&self, point: &str) -> Option<(Vec<Input>, Kind)> {
        let gated = self.has("ffn_gate") || self.fused_gate();
        let kind = match point {
            "ffn_gate" if self.has("ffn_gate") => self.linear("ffn_gate")?,
            "ffn_gate" => self.half(0)?,
            "ffn_up" if self.fused_gate() => self.half(1)?,
            "ffn_up" => self.linear("ffn_up")?,
            "ffn_act" if gated => {
                let inputs = vec![self.own("ffn_gate"), self.own("ffn_up")];
                return Some((inputs, self.activate(true)));
            }
            "ffn_act" => return Some((vec![self.own("ffn_up")], self.activate(false))),
            "ffn_out" => return Some((vec![self.own("ffn_act")], self.linear("ffn_down")?)),
            _ => return None,
        };
        Some((vec![self.own("ffn_norm")], kind))
    }

    pub(super) fn activate(&self, gated: bool) -> Kind {
        Kind::Activate(Activate {
            function: self.hparams.form.activation,
            exchanged: false,
            gated,
        })
    }

    /// Gate and up are one matrix: it has twice as many outputs as the down projection has inputs.
    pub(super) fn fused_gate(&self) -> bool {
        let shape = |tensor: &str| {
            let name = format!("{}.weight", self.tensor(tensor));
            self.hparams.tensors.get(&name).map(|info| &info.shape)
        };
        match (
            shape("ffn_up").map(Vec::as_slice),
            shape("ffn_down").map(Vec::as_slice),
        ) {
            (Some([outputs, _]), Some([_, inputs])) => *outputs == 2 * inputs,
            _ => false,
        }
    }

    pub(super) fn half(&self, which: usize) -> Option<Kind> {
        if !self.fused_gate() {
            return None;
        }
        let name = format!("{}.weight", self.tensor("ffn_up"));
        let half = self.hparams.tensors.get(&name)?.shape.first()? / 2;
        let part = which * half..(which + 1) * half;
        linear(self.hparams, &self.tensor("ffn_up"), Some(part))
    }
}
