//! The points of a mixture of experts.

use super::block::Block;
use crate::recompute::kind::{ExpertLinear, ExpertWeights, Kind};
use crate::recompute::operation::Input;

impl Block<'_> {
    pub(super) fn experts(&self, point: &str) -> Option<(Vec<Input>, Kind)> {
        let h = self.hparams;
        let own = |points: &[&str]| points.iter().map(|point| self.own(point)).collect();
        let by_expert = |tensor: &str| {
            let weight = format!("{}.weight", self.tensor(tensor));
            h.has(&weight)
                .then_some(Kind::ExpertLinear(ExpertLinear { weight }))
        };
        let shared = self.has("ffn_gate_inp_shexp");
        if point.starts_with("ffn_shared_") && !shared {
            return None;
        }
        Some(match point {
            "ffn_router" => (own(&["ffn_norm"]), self.linear("ffn_gate_inp")?),
            "ffn_router_probs" => (own(&["ffn_router"]), Kind::Softmax),
            "ffn_experts" => {
                let (_, count) = h.experts?;
                (own(&["ffn_router_probs"]), Kind::Choose { count })
            }
            "ffn_expert_weights" => (
                own(&["ffn_router_probs", "ffn_experts"]),
                Kind::ExpertWeights(ExpertWeights {
                    normalised: h.form.experts.normalised,
                    scale: h.expert_scale,
                }),
            ),
            "ffn_expert_gate" => (
                own(&["ffn_norm", "ffn_experts"]),
                by_expert("ffn_gate_exps")?,
            ),
            "ffn_expert_up" => (own(&["ffn_norm", "ffn_experts"]), by_expert("ffn_up_exps")?),
            "ffn_expert_act" => (
                own(&["ffn_expert_gate", "ffn_expert_up"]),
                self.activate(true),
            ),
            "ffn_expert_out" => (
                own(&["ffn_expert_act", "ffn_experts"]),
                by_expert("ffn_down_exps")?,
            ),
            "ffn_shared_router" => (own(&["ffn_norm"]), self.linear("ffn_gate_inp_shexp")?),
            "ffn_shared_weight" => (own(&["ffn_shared_router"]), Kind::Sigmoid),
            "ffn_shared_gate" => (own(&["ffn_norm"]), self.linear("ffn_gate_shexp")?),
            "ffn_shared_up" => (own(&["ffn_norm"]), self.linear("ffn_up_shexp")?),
            "ffn_shared_act" => (
                own(&["ffn_shared_gate", "ffn_shared_up"]),
                self.activate(true),
            ),
            "ffn_shared_out" => (own(&["ffn_shared_act"]), self.linear("ffn_down_shexp")?),
            "ffn_out" if shared => (
                own(&[
                    "ffn_expert_out",
                    "ffn_expert_weights",
                    "ffn_shared_out",
                    "ffn_shared_weight",
                ]),
                Kind::ExpertSum,
            ),
            "ffn_out" => (
                own(&["ffn_expert_out", "ffn_expert_weights"]),
                Kind::ExpertSum,
            ),
            _ => return None,
        })
    }
}
