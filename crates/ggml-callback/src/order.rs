//! The canonical vocabulary in dataflow order.

/// Checkpoints before the blocks.
const BEFORE: [&str; 2] = ["tokens", "embedding"];

/// Checkpoints of a block, without the `layer_{i}_` in front.
const BLOCK: [&str; 35] = [
    "attn_norm",
    "q",
    "k",
    "v",
    "q_norm",
    "k_norm",
    "q_rope",
    "k_rope",
    "attn_scores",
    "attn_probs",
    "attn_context",
    "attn_out",
    "attn_post_norm",
    "attn_residual",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_act",
    "ffn_router",
    "ffn_router_probs",
    "ffn_experts",
    "ffn_expert_weights",
    "ffn_expert_gate",
    "ffn_expert_up",
    "ffn_expert_act",
    "ffn_expert_out",
    "ffn_shared_router",
    "ffn_shared_weight",
    "ffn_shared_gate",
    "ffn_shared_up",
    "ffn_shared_act",
    "ffn_shared_out",
    "ffn_out",
    "ffn_post_norm",
    "output",
];

/// Checkpoints after the blocks.
const AFTER: [&str; 2] = ["final_norm", "logits"];

/// All names of a model of `layers` blocks in dataflow order; no model has every one of them.
pub fn vocabulary(layers: usize) -> impl Iterator<Item = String> {
    let blocks = (0..layers).flat_map(|layer| {
        BLOCK
            .iter()
            .map(move |point| format!("layer_{layer}_{point}"))
    });
    let outside = |names: [&'static str; 2]| names.into_iter().map(str::to_owned);
    outside(BEFORE).chain(blocks).chain(outside(AFTER))
}

/// Numbers the checkpoints of any model, each differently. `None` for names outside the vocabulary.
pub(crate) fn number(layer: Option<usize>, point: &str) -> Option<usize> {
    let outside = BEFORE.len() + AFTER.len();
    match rank(layer, point)? {
        (0, place) => Some(place),
        (usize::MAX, place) => Some(BEFORE.len() + place),
        (block, place) => Some(outside + (block - 1) * BLOCK.len() + place),
    }
}

/// Sort key of a checkpoint in dataflow order: block (`usize::MAX` after the last) and place in it.
/// `None` for names outside the vocabulary.
pub fn rank(layer: Option<usize>, point: &str) -> Option<(usize, usize)> {
    let place = |names: &[&str]| names.iter().position(|name| *name == point);
    match layer {
        Some(layer) => place(&BLOCK).map(|place| (layer + 1, place)),
        None => place(&BEFORE)
            .map(|place| (0, place))
            .or_else(|| place(&AFTER).map(|place| (usize::MAX, place))),
    }
}
