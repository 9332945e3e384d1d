//! The points of a decoder layer, in dataflow order.

/// A point of a decoder layer, in dataflow order. No model has every one of them.
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
    /// Norm of the attention's output, before it is added (Gemma 2 and 3).
    AttnPostNorm,
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
    /// Router projection of a mixture of experts.
    FfnRouter,
    /// Softmax over all experts.
    FfnRouterProbs,
    /// Ids of the chosen experts.
    FfnExperts,
    /// Weights that the chosen experts' outputs are summed with.
    FfnExpertWeights,
    /// Gate projections of the chosen experts.
    FfnExpertGate,
    /// Up projections of the chosen experts.
    FfnExpertUp,
    /// Activations of the chosen experts.
    FfnExpertAct,
    /// Down projections of the chosen experts, not yet weighted.
    FfnExpertOut,
    /// Gate of the expert that all tokens share, before its sigmoid.
    FfnSharedRouter,
    /// That gate after its sigmoid.
    FfnSharedWeight,
    /// Gate projection of the shared expert.
    FfnSharedGate,
    /// Up projection of the shared expert.
    FfnSharedUp,
    /// Activation of the shared expert.
    FfnSharedAct,
    /// Down projection of the shared expert, not yet weighted.
    FfnSharedOut,
    /// Down projection; with experts, their weighted sum.
    FfnOut,
    /// Norm of the feed-forward part's output, before it is added (Gemma 2 and 3).
    FfnPostNorm,
    /// Residual after the feed-forward part.
    Output,
}

impl Stage {
    /// All stages in dataflow order.
    pub const ALL: [Self; 35] = [
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
        Self::AttnPostNorm,
        Self::AttnResidual,
        Self::FfnNorm,
        Self::FfnGate,
        Self::FfnUp,
        Self::FfnAct,
        Self::FfnRouter,
        Self::FfnRouterProbs,
        Self::FfnExperts,
        Self::FfnExpertWeights,
        Self::FfnExpertGate,
        Self::FfnExpertUp,
        Self::FfnExpertAct,
        Self::FfnExpertOut,
        Self::FfnSharedRouter,
        Self::FfnSharedWeight,
        Self::FfnSharedGate,
        Self::FfnSharedUp,
        Self::FfnSharedAct,
        Self::FfnSharedOut,
        Self::FfnOut,
        Self::FfnPostNorm,
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
            Self::AttnPostNorm => "attn_post_norm",
            Self::AttnResidual => "attn_residual",
            Self::FfnNorm => "ffn_norm",
            Self::FfnGate => "ffn_gate",
            Self::FfnUp => "ffn_up",
            Self::FfnAct => "ffn_act",
            Self::FfnRouter => "ffn_router",
            Self::FfnRouterProbs => "ffn_router_probs",
            Self::FfnExperts => "ffn_experts",
            Self::FfnExpertWeights => "ffn_expert_weights",
            Self::FfnExpertGate => "ffn_expert_gate",
            Self::FfnExpertUp => "ffn_expert_up",
            Self::FfnExpertAct => "ffn_expert_act",
            Self::FfnExpertOut => "ffn_expert_out",
            Self::FfnSharedRouter => "ffn_shared_router",
            Self::FfnSharedWeight => "ffn_shared_weight",
            Self::FfnSharedGate => "ffn_shared_gate",
            Self::FfnSharedUp => "ffn_shared_up",
            Self::FfnSharedAct => "ffn_shared_act",
            Self::FfnSharedOut => "ffn_shared_out",
            Self::FfnOut => "ffn_out",
            Self::FfnPostNorm => "ffn_post_norm",
            Self::Output => "output",
        }
    }

    /// Whether only a mixture of experts has it.
    pub const fn is_expert(self) -> bool {
        (Self::FfnRouter as u8) <= self as u8 && self as u8 <= Self::FfnSharedOut as u8
    }

    /// Whether it belongs to the expert that all tokens share.
    pub const fn is_shared_expert(self) -> bool {
        (Self::FfnSharedRouter as u8) <= self as u8 && self as u8 <= Self::FfnSharedOut as u8
    }
}
