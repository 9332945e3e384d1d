//! The tables: what names a checkpoint, in every architecture that has been tried.
//!
//! llama.cpp builds its architectures from the same parts, so one set of tables serves all. A new architecture adds
//! the rows that it has and no other.

use super::Heads;
use crate::layout::Layout;

/// The form of a checkpoint, and where its elements are in the node.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// `[tokens, features]`.
    Rows,
    /// Query heads.
    Query,
    /// Key heads.
    Key,
    /// Value heads.
    Value,
    /// Query heads, out of rows that hold queries, keys and values.
    FusedQuery,
    /// Key heads of such rows.
    FusedKey,
    /// Value heads of such rows.
    FusedValue,
    /// A value for each query head.
    Context,
    /// `[tokens, heads, kv]`.
    Scores,
    /// `[tokens, chosen experts, features]`.
    Slots,
    /// `[tokens, chosen experts]`, out of rows of one element each.
    Column,
}

/// Weights and biases that give their operation its place: `blk.N.{weight}.weight` or `.bias`.
pub(super) const BY_WEIGHT: &[(&str, &[(&str, Form)])] = &[
    ("attn_norm", &[("attn_norm", Form::Rows)]),
    ("attn_q", &[("q", Form::Query)]),
    ("attn_k", &[("k", Form::Key)]),
    ("attn_v", &[("v", Form::Value)]),
    (
        "attn_qkv",
        &[
            ("q", Form::FusedQuery),
            ("k", Form::FusedKey),
            ("v", Form::FusedValue),
        ],
    ),
    ("attn_q_norm", &[("q_norm", Form::Query)]),
    ("attn_k_norm", &[("k_norm", Form::Key)]),
    ("attn_output", &[("attn_out", Form::Rows)]),
    ("post_attention_norm", &[("attn_post_norm", Form::Rows)]),
    ("ffn_norm", &[("ffn_norm", Form::Rows)]),
    ("ffn_gate", &[("ffn_gate", Form::Rows)]),
    ("ffn_up", &[("ffn_up", Form::Rows)]),
    ("ffn_down", &[("ffn_out", Form::Rows)]),
    ("ffn_gate_inp", &[("ffn_router", Form::Rows)]),
    ("ffn_gate_exps", &[("ffn_expert_gate", Form::Slots)]),
    ("ffn_up_exps", &[("ffn_expert_up", Form::Slots)]),
    ("ffn_down_exps", &[("ffn_expert_out", Form::Slots)]),
    ("ffn_gate_inp_shexp", &[("ffn_shared_router", Form::Rows)]),
    ("ffn_gate_shexp", &[("ffn_shared_gate", Form::Rows)]),
    ("ffn_up_shexp", &[("ffn_shared_up", Form::Rows)]),
    ("ffn_down_shexp", &[("ffn_shared_out", Form::Rows)]),
    ("post_ffw_norm", &[("ffn_post_norm", Form::Rows)]),
];

/// Weights outside the blocks. With tied embeddings the output projection reads the embedding table.
pub(super) const OUTSIDE: &[(&str, &str)] = &[
    ("output_norm", "final_norm"),
    ("output", "logits"),
    ("token_embd", "logits"),
];

/// Operations without a weight: ggml's name before the `-N`, operation, checkpoint, form.
pub(super) const BY_NAME: &[(&str, &str, &str, Form)] = &[
    ("Qcur", "ROPE", "q_rope", Form::Query),
    ("Kcur", "ROPE", "k_rope", Form::Key),
    ("kq", "MUL_MAT", "attn_scores", Form::Scores),
    // With a soft cap.
    ("kq_scaled_2", "SCALE", "attn_scores", Form::Scores),
    ("kq_soft_max", "SOFT_MAX", "attn_probs", Form::Scores),
    ("kqv_out", "CONT", "attn_context", Form::Context),
    // As llama.cpp of 2024 has them.
    ("kq_soft_max_ext", "SOFT_MAX", "attn_probs", Form::Scores),
    ("kqv_merged_cont", "CONT", "attn_context", Form::Context),
    ("ffn_gate_par", "MUL", "ffn_act", Form::Rows),
    ("ffn_inp", "ADD", "attn_residual", Form::Rows),
    ("sa_out", "ADD", "attn_residual", Form::Rows),
    ("ffn_moe_probs", "SOFT_MAX", "ffn_router_probs", Form::Rows),
    ("ffn_moe_topk", "VIEW", "ffn_experts", Form::Rows),
    (
        "ffn_moe_weights",
        "GET_ROWS",
        "ffn_expert_weights",
        Form::Column,
    ),
    // Where the weights of the chosen are made to sum to one.
    (
        "ffn_moe_weights_norm",
        "DIV",
        "ffn_expert_weights",
        Form::Rows,
    ),
    ("ffn_shexp_gate", "DIV", "ffn_shared_weight", Form::Rows),
    ("ffn_moe_out", "ADD", "ffn_out", Form::Rows),
    // With a shared expert.
    ("ffn_out", "ADD", "ffn_out", Form::Rows),
    ("l_out", "ADD", "output", Form::Rows),
];

/// Operations that activate what they get, as ggml describes them.
pub(super) const ACTIVATIONS: &[&str] = &["SWIGLU", "GEGLU", "GELU"];

/// Activations: what the first input is, checkpoint, form. ggml's own names do not tell a shared expert's.
pub(super) const BY_INPUT: &[(&str, &str, Form)] = &[
    ("ffn_gate", "ffn_act", Form::Rows),
    // Without a gate, or in one product with it.
    ("ffn_up", "ffn_act", Form::Rows),
    ("ffn_expert_gate", "ffn_expert_act", Form::Slots),
    ("ffn_shared_gate", "ffn_shared_act", Form::Rows),
];

/// Operations outside the blocks without a weight: ggml's name, operation, checkpoint.
pub(super) const OUTSIDE_BY_NAME: &[(&str, &str, &str)] = &[
    // The stream that enters the first block, where it is more than rows of the embedding table: with learned
    // positions, with a scale.
    ("inpL", "ADD", "embedding"),
    ("inp_scaled", "SCALE", "embedding"),
    ("inp_scaled", "MUL", "embedding"),
    // With a soft cap.
    ("result_output", "SCALE", "logits"),
];

impl Form {
    pub(super) fn layout(self, heads: Heads) -> Layout {
        let (query, key) = (
            heads.query * heads.head_dim,
            heads.key_value * heads.head_dim,
        );
        let value = heads.key_value * heads.value_dim;
        let whole = query + key + value;
        let all = |count, dim| Layout::Heads { count, dim };
        let part = |start, count, dim| Layout::Part {
            whole,
            start,
            count,
            dim,
        };
        match self {
            Self::Rows => Layout::Rows,
            Self::Query => all(heads.query, heads.head_dim),
            Self::Key => all(heads.key_value, heads.head_dim),
            Self::Value => all(heads.key_value, heads.value_dim),
            Self::FusedQuery => part(0, heads.query, heads.head_dim),
            Self::FusedKey => part(query, heads.key_value, heads.head_dim),
            Self::FusedValue => part(query + key, heads.key_value, heads.value_dim),
            Self::Context => all(heads.query, heads.value_dim),
            Self::Scores => Layout::Scores,
            Self::Slots => Layout::Slots,
            Self::Column => Layout::Column,
        }
    }
}
