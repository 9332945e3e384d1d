//! Which operation a checkpoint is the result of.

use crate::align::{Place, Stage};

/// Operations of the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Rows of the embedding table.
    Embedding,
    /// Norm over the last axis.
    Norm,
    /// Product with a weight matrix.
    Linear,
    /// Rotary embedding.
    Rope,
    /// Scaled products of queries and keys.
    Scores,
    /// Softmax over visible scores.
    Probs,
    /// Probabilities times values.
    Context,
    /// Non-linearity of the feed-forward network.
    Activation,
    /// Which experts are chosen.
    ExpertChoice,
    /// Weights of chosen experts.
    ExpertWeights,
    /// Weighted sum of chosen experts.
    ExpertSum,
    /// Addition to the residual stream.
    Residual,
    /// Anything else: only what is true of any tensor can be tested.
    Other,
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Embedding,
        Self::Norm,
        Self::Linear,
        Self::Rope,
        Self::Scores,
        Self::Probs,
        Self::Context,
        Self::Activation,
        Self::ExpertChoice,
        Self::ExpertWeights,
        Self::ExpertSum,
        Self::Residual,
        Self::Other,
    ];

    /// Its name in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Norm => "norm",
            Self::Linear => "projection",
            Self::Rope => "rotation",
            Self::Scores => "attention scores",
            Self::Probs => "softmax",
            Self::Context => "attention context",
            Self::Activation => "activation",
            Self::ExpertChoice => "choice of experts",
            Self::ExpertWeights => "weights of experts",
            Self::ExpertSum => "sum of experts",
            Self::Residual => "residual sum",
            Self::Other => "tensor",
        }
    }
}

/// Where in the model a checkpoint lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its place in the vocabulary.
    pub place: Option<Place>,
    /// The form of its operation.
    pub kind: Kind,
    /// The block, if it lies in one.
    pub layer: Option<u32>,
}

impl Site {
    /// The site of a checkpoint name.
    pub fn of(checkpoint: &str) -> Self {
        let place = Place::of(checkpoint);
        let layer = match place {
            Some(Place::Layer(layer, _)) => Some(layer),
            _ => None,
        };
        let kind = match place {
            Some(Place::Embedding) => Kind::Embedding,
            Some(Place::FinalNorm) => Kind::Norm,
            Some(Place::Logits) => Kind::Linear,
            Some(Place::Layer(_, stage)) => kind_of(stage),
            _ => Kind::Other,
        };
        Self { place, kind, layer }
    }

    /// The stage in its block.
    pub fn stage(&self) -> Option<Stage> {
        match self.place {
            Some(Place::Layer(_, stage)) => Some(stage),
            _ => None,
        }
    }

    /// The name of the stream that enters its block.
    pub fn block_input(&self) -> Option<String> {
        Some(match self.layer?.checked_sub(1) {
            Some(before) => format!("layer_{before}_output"),
            None => "embedding".to_owned(),
        })
    }

    /// The name of another stage of its block.
    pub fn neighbour(&self, stage: Stage) -> Option<String> {
        self.layer.map(|layer| Place::Layer(layer, stage).name())
    }
}

fn kind_of(stage: Stage) -> Kind {
    use Stage as S;
    match stage {
        S::AttnNorm | S::FfnNorm | S::QNorm | S::KNorm | S::AttnPostNorm | S::FfnPostNorm => {
            Kind::Norm
        }
        S::Q | S::K | S::V | S::AttnOut | S::FfnGate | S::FfnUp | S::FfnOut => Kind::Linear,
        S::FfnRouter | S::FfnSharedRouter | S::FfnSharedGate | S::FfnSharedUp | S::FfnSharedOut => {
            Kind::Linear
        }
        S::FfnExperts => Kind::ExpertChoice,
        S::FfnExpertWeights => Kind::ExpertWeights,
        S::QRope | S::KRope => Kind::Rope,
        S::AttnScores => Kind::Scores,
        S::AttnProbs => Kind::Probs,
        S::AttnContext => Kind::Context,
        S::FfnAct | S::FfnExpertAct | S::FfnSharedAct => Kind::Activation,
        S::AttnResidual | S::Output => Kind::Residual,
        _ => Kind::Other,
    }
}
