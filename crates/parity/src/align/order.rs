//! The canonical checkpoints in dataflow order, and which of them each one is computed from.

use std::collections::BTreeSet;

use super::stage::Stage;

/// The place of a canonical checkpoint; places compare in dataflow order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The token ids.
    Tokens,
    /// Rows of the token embedding.
    Embedding,
    /// A point of a layer.
    Layer(u32, Stage),
    /// Norm after the last layer.
    FinalNorm,
    /// Logits.
    Logits,
}

impl Place {
    /// The place of a name; `None` for one that is not canonical.
    ///
    /// # Example
    ///
    /// ```
    /// use parity::align::{Place, Stage};
    /// assert_eq!(Place::of("layer_3_q_rope"), Some(Place::Layer(3, Stage::QRope)));
    /// assert_eq!(Place::of("layer_3_banana"), None);
    /// assert!(Place::of("embedding") < Place::of("layer_0_attn_norm"));
    /// ```
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "tokens" => Some(Self::Tokens),
            "embedding" => Some(Self::Embedding),
            "final_norm" => Some(Self::FinalNorm),
            "logits" => Some(Self::Logits),
            _ => {
                let (layer, stage) = name.strip_prefix("layer_")?.split_once('_')?;
                let stage = Stage::ALL.into_iter().find(|known| known.name() == stage)?;
                Some(Self::Layer(layer.parse().ok()?, stage))
            }
        }
    }

    /// The name of the place.
    pub fn name(self) -> String {
        match self {
            Self::Tokens => "tokens".to_owned(),
            Self::Embedding => "embedding".to_owned(),
            Self::Layer(layer, stage) => format!("layer_{layer}_{}", stage.name()),
            Self::FinalNorm => "final_norm".to_owned(),
            Self::Logits => "logits".to_owned(),
        }
    }

    /// The places that this one is computed from, for a model of `layers` layers.
    ///
    /// The vocabulary of a decoder with pre-norm residual blocks; a step that a model does not have (norms
    /// of queries and keys) is passed through by [`inputs_of`]. `captured` tells whether a block has experts, as one
    /// of them is captured where it does.
    pub(crate) fn inputs(self, layers: u32, captured: &dyn Fn(Self) -> bool) -> Vec<Self> {
        use Stage as S;
        let residual_stream = |layer: u32| match layer.checked_sub(1) {
            Some(before) => Self::Layer(before, S::Output),
            None => Self::Embedding,
        };
        match self {
            Self::Tokens => vec![],
            Self::Embedding => vec![Self::Tokens],
            Self::FinalNorm => vec![residual_stream(layers)],
            Self::Logits => vec![Self::FinalNorm],
            Self::Layer(layer, stage) => {
                let here = |stages: &[Stage]| {
                    stages
                        .iter()
                        .map(|stage| Self::Layer(layer, *stage))
                        .collect()
                };
                match stage {
                    S::AttnNorm => vec![residual_stream(layer)],
                    S::Q | S::K | S::V => here(&[S::AttnNorm]),
                    S::QNorm => here(&[S::Q]),
                    S::KNorm => here(&[S::K]),
                    S::QRope => here(&[S::QNorm]),
                    S::KRope => here(&[S::KNorm]),
                    S::AttnScores => here(&[S::QRope, S::KRope]),
                    S::AttnProbs => here(&[S::AttnScores]),
                    S::AttnContext => here(&[S::AttnProbs, S::V]),
                    S::AttnOut => here(&[S::AttnContext]),
                    S::AttnPostNorm => here(&[S::AttnOut]),
                    S::AttnResidual => {
                        vec![Self::Layer(layer, S::AttnPostNorm), residual_stream(layer)]
                    }
                    S::FfnNorm => here(&[S::AttnResidual]),
                    S::FfnGate | S::FfnUp => here(&[S::FfnNorm]),
                    S::FfnAct => here(&[S::FfnGate, S::FfnUp]),
                    S::FfnRouter => here(&[S::FfnNorm]),
                    S::FfnRouterProbs => here(&[S::FfnRouter]),
                    S::FfnExperts => here(&[S::FfnRouterProbs]),
                    S::FfnExpertWeights => here(&[S::FfnRouterProbs, S::FfnExperts]),
                    S::FfnExpertGate | S::FfnExpertUp => here(&[S::FfnNorm, S::FfnExperts]),
                    S::FfnExpertAct => here(&[S::FfnExpertGate, S::FfnExpertUp]),
                    S::FfnExpertOut => here(&[S::FfnExpertAct, S::FfnExperts]),
                    S::FfnSharedRouter => here(&[S::FfnNorm]),
                    S::FfnSharedWeight => here(&[S::FfnSharedRouter]),
                    S::FfnSharedGate | S::FfnSharedUp => here(&[S::FfnNorm]),
                    S::FfnSharedAct => here(&[S::FfnSharedGate, S::FfnSharedUp]),
                    S::FfnSharedOut => here(&[S::FfnSharedAct]),
                    S::FfnOut => {
                        let has = |kind: fn(Stage) -> bool| {
                            let mut of_kind = S::ALL.into_iter().filter(|stage| kind(*stage));
                            of_kind.any(|stage| captured(Self::Layer(layer, stage)))
                        };
                        match (has(S::is_expert), has(S::is_shared_expert)) {
                            (false, _) => here(&[S::FfnAct]),
                            (true, false) => here(&[S::FfnExpertOut, S::FfnExpertWeights]),
                            (true, true) => here(&[
                                S::FfnExpertOut,
                                S::FfnExpertWeights,
                                S::FfnSharedOut,
                                S::FfnSharedWeight,
                            ]),
                        }
                    }
                    S::FfnPostNorm => here(&[S::FfnOut]),
                    S::Output => here(&[S::FfnPostNorm, S::AttnResidual]),
                }
            }
        }
    }
}

/// The nearest captured checkpoints that `checkpoint` is computed from.
///
/// An input that was not captured is replaced by its own inputs, so that the answer names what the
/// traces really hold. Empty for a name that is not canonical and for one with nothing captured before it.
///
/// # Example
///
/// ```
/// use parity::align::inputs_of;
/// // A model without a norm of its queries.
/// let captured = |name: &str| name == "layer_3_q" || name == "embedding";
/// assert_eq!(inputs_of("layer_3_q_rope", 30, &captured), ["layer_3_q"]);
/// assert_eq!(inputs_of("layer_1_attn_norm", 30, &captured), ["embedding"]);
/// ```
pub fn inputs_of(checkpoint: &str, layers: u32, captured: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let is_captured = |place: Place| captured(&place.name());
    let mut open: Vec<Place> =
        Place::of(checkpoint).map_or_else(Vec::new, |place| place.inputs(layers, &is_captured));
    open.reverse();
    while let Some(place) = open.pop() {
        if !seen.insert(place) {
            continue;
        }
        let name = place.name();
        if captured(&name) {
            found.push(name);
        } else {
            open.extend(place.inputs(layers, &is_captured).into_iter().rev());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_vocabulary() {
        // The list of the trace format, written out once more.
        let layer = "attn_norm q k v q_norm k_norm q_rope k_rope attn_scores attn_probs attn_context attn_out \
                     attn_post_norm attn_residual ffn_norm ffn_gate ffn_up ffn_act ffn_router ffn_router_probs \
                     ffn_experts ffn_expert_weights ffn_expert_gate ffn_expert_up ffn_expert_act ffn_expert_out \
                     ffn_shared_router ffn_shared_weight ffn_shared_gate ffn_shared_up ffn_shared_act \
                     ffn_shared_out ffn_out ffn_post_norm output";
        let mut names = vec!["tokens".to_owned(), "embedding".to_owned()];
        for index in [0, 1, 9, 10] {
            names.extend(
                layer
                    .split_whitespace()
                    .map(|stage| format!("layer_{index}_{stage}")),
            );
        }
        names.extend(["final_norm".to_owned(), "logits".to_owned()]);
        let places: Vec<Place> = names
            .iter()
            .map(|name| Place::of(name).expect("canonical"))
            .collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            places
                .iter()
                .zip(&names)
                .all(|(place, name)| place.name() == *name)
        );
    }

    #[test]
    fn inputs_come_before_their_outputs() {
        for layer in 0..2 {
            for stage in Stage::ALL {
                let place = Place::Layer(layer, stage);
                for captured in [true, false] {
                    let inputs = place.inputs(2, &|_| captured);
                    assert!(
                        !inputs.is_empty() && inputs.iter().all(|input| *input < place),
                        "{place:?}"
                    );
                }
            }
        }
        assert_eq!(
            Place::FinalNorm.inputs(2, &|_| true),
            [Place::Layer(1, Stage::Output)]
        );
    }

    #[test]
    fn nearest_captured_inputs() {
        let everything = |_: &str| true;
        assert_eq!(
            inputs_of("layer_2_attn_residual", 4, &everything),
            ["layer_2_attn_post_norm", "layer_1_output"]
        );
        let no_post_norms = |name: &str| !name.ends_with("post_norm");
        assert_eq!(
            inputs_of("layer_2_attn_residual", 4, &no_post_norms),
            ["layer_2_attn_out", "layer_1_output"]
        );
        assert_eq!(inputs_of("final_norm", 4, &everything), ["layer_3_output"]);
        let only_outputs = |name: &str| name.ends_with("_output") || name == "embedding";
        assert_eq!(
            inputs_of("layer_2_output", 4, &only_outputs),
            ["layer_1_output"]
        );
        assert!(inputs_of("layer_0_q", 4, &|_| false).is_empty());
        assert!(inputs_of("my_own_name", 4, &everything).is_empty());
    }

    #[test]
    fn a_block_has_experts_or_one_feed_forward_part() {
        let out = |without: &[&str]| {
            let captured = |name: &str| !without.iter().any(|part| name.contains(part));
            inputs_of("layer_1_ffn_out", 4, &captured)
        };
        let shared = ["layer_1_ffn_shared_out", "layer_1_ffn_shared_weight"];
        let routed = ["layer_1_ffn_expert_out", "layer_1_ffn_expert_weights"];
        assert_eq!(out(&["expert", "router", "shared"]), ["layer_1_ffn_act"]);
        assert_eq!(out(&["ffn_act", "shared"]), routed);
        assert_eq!(out(&["ffn_act"]), [routed, shared].concat());
        // With a filter that leaves little, what is left stands in.
        assert_eq!(
            out(&["expert_", "probs", "shared", "ffn_act"]),
            [
                "layer_1_ffn_norm",
                "layer_1_ffn_experts",
                "layer_1_ffn_router"
            ]
        );
    }
}
