//! A mixture of experts in f64.

use super::block::Block;
use super::form::{EMBEDDING, EXPERTS, Experts};
use super::maths::{linear, silu};

impl Block<'_> {
    pub(super) fn experts(&self, experts: Experts) -> Vec<(&'static str, Vec<f64>)> {
        let (count, used) = EXPERTS;
        let probs = self.at("ffn_router").chunks(count).flat_map(softmax);
        let chosen = self.at("ffn_router_probs").chunks(count).flat_map(|probs| {
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|a, b| probs[*b].total_cmp(&probs[*a]));
            order.into_iter().take(used).map(|expert| expert as f64)
        });
        let mut out = vec![
            ("ffn_router", self.linear("ffn_norm", "ffn_gate_inp")),
            ("ffn_router_probs", probs.collect()),
            ("ffn_experts", chosen.collect()),
            ("ffn_expert_weights", self.expert_weights(experts)),
        ];
        for (point, input, tensor) in [
            ("ffn_expert_gate", "ffn_norm", "ffn_gate_exps"),
            ("ffn_expert_up", "ffn_norm", "ffn_up_exps"),
        ] {
            out.push((point, self.by_experts(input, 1, tensor, EMBEDDING)));
        }
        out.push((
            "ffn_expert_act",
            gated(self.at("ffn_expert_gate"), self.at("ffn_expert_up")),
        ));
        let down = self.by_experts(
            "ffn_expert_act",
            used,
            "ffn_down_exps",
            experts.feed_forward,
        );
        out.push(("ffn_expert_out", down));

        let mut sum = vec![0.0; self.tokens * EMBEDDING];
        let weights = self.at("ffn_expert_weights");
        for (slot, row) in self.at("ffn_expert_out").chunks(EMBEDDING).enumerate() {
            add(&mut sum[slot / used * EMBEDDING..], row, weights[slot]);
        }
        if let Some(hidden) = experts.shared {
            out.push((
                "ffn_shared_router",
                self.linear("ffn_norm", "ffn_gate_inp_shexp"),
            ));
            let routed = self.at("ffn_shared_router").iter();
            let weight = routed.map(|x| 1.0 / (1.0 + (-x).exp()));
            out.push(("ffn_shared_weight", weight.collect()));
            out.push(("ffn_shared_gate", self.linear("ffn_norm", "ffn_gate_shexp")));
            out.push(("ffn_shared_up", self.linear("ffn_norm", "ffn_up_shexp")));
            assert_eq!(self.at("ffn_shared_up").len(), self.tokens * hidden);
            let activated = gated(self.at("ffn_shared_gate"), self.at("ffn_shared_up"));
            out.push(("ffn_shared_act", activated));
            out.push((
                "ffn_shared_out",
                self.linear("ffn_shared_act", "ffn_down_shexp"),
            ));
            let weights = self.at("ffn_shared_weight");
            for (token, row) in self.at("ffn_shared_out").chunks(EMBEDDING).enumerate() {
                add(&mut sum[token * EMBEDDING..], row, weights[token]);
            }
        }
        out.push(("ffn_out", sum));
        out
    }

    /// The probabilities of the chosen.
    fn expert_weights(&self, experts: Experts) -> Vec<f64> {
        let (count, used) = EXPERTS;
        let chosen = self.at("ffn_experts").chunks(used);
        let weights = chosen.zip(self.at("ffn_router_probs").chunks(count));
        let weights = weights.flat_map(|(chosen, probs)| {
            let weights: Vec<f64> = chosen
                .iter()
                .map(|expert| probs[*expert as usize])
                .collect();
            let sum: f64 = if experts.normalised {
                weights.iter().sum()
            } else {
                1.0
            };
            weights.into_iter().map(move |weight| weight / sum)
        });
        weights.collect()
    }

    /// Each token's chosen experts' products, `[tokens, chosen, outputs]`. The input has `slots` rows a token.
    fn by_experts(&self, input: &str, slots: usize, tensor: &str, inputs: usize) -> Vec<f64> {
        let (count, used) = EXPERTS;
        let weights = self.weight(tensor);
        let chosen = self.at("ffn_experts").iter().enumerate();
        let products = chosen.flat_map(|(slot, expert)| {
            let row = if slots == 1 { slot / used } else { slot };
            let x = &self.at(input)[row * inputs..][..inputs];
            let size = weights.len() / count;
            linear(x, &weights[*expert as usize * size..][..size], None, inputs)
        });
        products.collect()
    }
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x.exp() / sum).collect()
}

fn gated(gate: &[f64], up: &[f64]) -> Vec<f64> {
    gate.iter()
        .zip(up)
        .map(|(gate, up)| silu(*gate) * up)
        .collect()
}

fn add(to: &mut [f64], row: &[f64], weight: f64) {
    for (sum, x) in to.iter_mut().zip(row) {
        *sum += x * weight;
    }
}
