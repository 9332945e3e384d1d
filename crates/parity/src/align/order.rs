//! The canonical checkpoints in dataflow order, and which of them each one is computed from.

/// A point of a decoder layer, in dataflow order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Norm before attention.
    AttnNorm,
    /// Query projection.
    Q,
    /// Key projection.
    K,
    /// Value projection.
    V,
    /// Norm of the queries.
    QNorm,
    /// Norm of the keys.
    KNorm,
    /// Queries after rotary embedding.
    QRope,
    /// Keys after rotary embedding.
    KRope,
    /// Scaled, unmasked scores.
    AttnScores,
    /// Probabilities.
    AttnProbs,
    /// Probabilities times values.
    AttnContext,
    /// Output projection.
    AttnOut,
    /// Residual after attention.
    AttnResidual,
    /// Norm before the feed-forward part.
    FfnNorm,
    /// Gate projection.
    FfnGate,
    /// Up projection.
    FfnUp,
    /// Activation.
    FfnAct,
    /// Down projection.
    FfnOut,
    /// Residual after the feed-forward part.
    Output,
}

impl Stage {
    /// All stages in dataflow order.
    pub const ALL: [Self; 19] = [
        Self::AttnNorm,
        Self::Q,
        Self::K,
        Self::V,
        Self::QNorm,
        Self::KNorm,
        Self::QRope,
        Self::KRope,
        Self::AttnScores,
        Self::AttnProbs,
        Self::AttnContext,
        Self::AttnOut,
        Self::AttnResidual,
        Self::FfnNorm,
        Self::FfnGate,
        Self::FfnUp,
        Self::FfnAct,
        Self::FfnOut,
        Self::Output,
    ];

    /// The name without its layer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttnNorm => "attn_norm",
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::QNorm => "q_norm",
            Self::KNorm => "k_norm",
            Self::QRope => "q_rope",
            Self::KRope => "k_rope",
            Self::AttnScores => "attn_scores",
            Self::AttnProbs => "attn_probs",
            Self::AttnContext => "attn_context",
            Self::AttnOut => "attn_out",
            Self::AttnResidual => "attn_residual",
            Self::FfnNorm => "ffn_norm",
            Self::FfnGate => "ffn_gate",
            Self::FfnUp => "ffn_up",
            Self::FfnAct => "ffn_act",
            Self::FfnOut => "ffn_out",
            Self::Output => "output",
        }
    }
}

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
    /// of queries and keys) is passed through by [`inputs_of`].
    fn inputs(self, layers: u32) -> Vec<Self> {
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
                    S::AttnResidual => vec![Self::Layer(layer, S::AttnOut), residual_stream(layer)],
                    S::FfnNorm => here(&[S::AttnResidual]),
                    S::FfnGate | S::FfnUp => here(&[S::FfnNorm]),
                    S::FfnAct => here(&[S::FfnGate, S::FfnUp]),
                    S::FfnOut => here(&[S::FfnAct]),
                    S::Output => here(&[S::FfnOut, S::AttnResidual]),
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
    let mut seen = std::collections::BTreeSet::new();
    let mut open: Vec<Place> =
        Place::of(checkpoint).map_or_else(Vec::new, |place| place.inputs(layers));
    open.reverse();
    while let Some(place) = open.pop() {
        if !seen.insert(place) {
            continue;
        }
        let name = place.name();
        if captured(&name) {
            found.push(name);
        } else {
            open.extend(place.inputs(layers).into_iter().rev());
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
                     attn_residual ffn_norm ffn_gate ffn_up ffn_act ffn_out output";
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
                let inputs = place.inputs(2);
                assert!(
                    !inputs.is_empty() && inputs.iter().all(|input| *input < place),
                    "{place:?}"
                );
            }
        }
        assert_eq!(Place::FinalNorm.inputs(2), [Place::Layer(1, Stage::Output)]);
    }

    #[test]
    fn nearest_captured_inputs() {
        let everything = |_: &str| true;
        assert_eq!(
            inputs_of("layer_2_attn_residual", 4, &everything),
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
}
