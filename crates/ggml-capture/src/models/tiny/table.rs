//! The tables of the architectures, after llama.cpp's own loaders (`src/models/*.cpp`).

use super::plan::Fill::{Around1, Bias, Matrix, Table};
use super::plan::Size::{
    self, Context, Embedding, Expert, Experts, FeedForward, HeadDim, Heads, HeadsKv, Key, Query,
    Shared, Vocabulary,
};
use super::plan::{Metadata, Plan, Row, Value};

/// Query heads for each key head; a head's share of the embedding.
const GROUPED: (usize, usize) = (2, 32);
/// Heads larger than their share.
const WIDE: (usize, usize) = (2, 48);
/// As many key heads as query heads.
const MULTI_HEAD: (usize, usize) = (4, 32);

const COMMON: Metadata = &[
    ("context_length", Value::Size(Context)),
    ("embedding_length", Value::Size(Embedding)),
    ("feed_forward_length", Value::Size(FeedForward)),
    ("attention.head_count", Value::Size(Heads)),
    ("attention.head_count_kv", Value::Size(HeadsKv)),
];

const ROTATION: Metadata = &[("rope.dimension_count", Value::Size(HeadDim))];

const HEAD_SIZE: Metadata = &[
    ("attention.key_length", Value::Size(HeadDim)),
    ("attention.value_length", Value::Size(HeadDim)),
];

const EMBEDDING: &[Row] = &[("token_embd.weight", &[Embedding, Vocabulary], Table)];

const NORM: Row = ("output_norm.weight", &[Embedding], Around1);

const OUTPUT: Row = ("output.weight", &[Embedding, Vocabulary], Matrix);

const EPSILON: &str = "attention.layer_norm_rms_epsilon";

const ATTENTION: &[Row] = &[
    ("attn_norm.weight", &[Embedding], Around1),
    ("attn_q.weight", &[Embedding, Query], Matrix),
    ("attn_k.weight", &[Embedding, Key], Matrix),
    ("attn_v.weight", &[Embedding, Key], Matrix),
    ("attn_output.weight", &[Query, Embedding], Matrix),
];

const GATED: &[Row] = &[
    ("ffn_norm.weight", &[Embedding], Around1),
    ("ffn_gate.weight", &[Embedding, FeedForward], Matrix),
    ("ffn_up.weight", &[Embedding, FeedForward], Matrix),
    ("ffn_down.weight", &[FeedForward, Embedding], Matrix),
];

const QKV_BIAS: &[Row] = &[
    ("attn_q.bias", &[Query], Bias),
    ("attn_k.bias", &[Key], Bias),
    ("attn_v.bias", &[Key], Bias),
];

const QK_NORM: &[Row] = &[
    ("attn_q_norm.weight", &[HeadDim], Around1),
    ("attn_k_norm.weight", &[HeadDim], Around1),
];

const POST_NORMS: &[Row] = &[
    ("post_attention_norm.weight", &[Embedding], Around1),
    ("post_ffw_norm.weight", &[Embedding], Around1),
];

const GPT2_BLOCK: &[Row] = &[
    ("attn_norm.weight", &[Embedding], Around1),
    ("attn_norm.bias", &[Embedding], Bias),
    ("attn_qkv.weight", &[Embedding, Size::Fused], Matrix),
    ("attn_qkv.bias", &[Size::Fused], Bias),
    ("attn_output.weight", &[Query, Embedding], Matrix),
    ("attn_output.bias", &[Embedding], Bias),
    ("ffn_norm.weight", &[Embedding], Around1),
    ("ffn_norm.bias", &[Embedding], Bias),
    ("ffn_up.weight", &[Embedding, FeedForward], Matrix),
    ("ffn_up.bias", &[FeedForward], Bias),
    ("ffn_down.weight", &[FeedForward, Embedding], Matrix),
    ("ffn_down.bias", &[Embedding], Bias),
];

const fn number(name: &'static str, value: f32) -> (&'static str, Value) {
    (name, Value::Number(value))
}

pub(super) const LLAMA: Plan = Plan {
    name: "llama",
    metadata: &[
        COMMON,
        ROTATION,
        &[number("rope.freq_base", 10_000.0), number(EPSILON, 1e-5)],
    ],
    before: EMBEDDING,
    block: &[ATTENTION, GATED],
    after: &[NORM],
    heads: GROUPED,
};

pub(super) const QWEN2: Plan = Plan {
    name: "qwen2",
    metadata: &[
        COMMON,
        ROTATION,
        &[number("rope.freq_base", 1_000_000.0), number(EPSILON, 1e-6)],
    ],
    block: &[ATTENTION, GATED, QKV_BIAS],
    after: &[NORM, OUTPUT],
    ..LLAMA
};

pub(super) const QWEN3: Plan = Plan {
    name: "qwen3",
    metadata: &[
        COMMON,
        ROTATION,
        HEAD_SIZE,
        &[number("rope.freq_base", 1_000_000.0), number(EPSILON, 1e-6)],
    ],
    block: &[ATTENTION, QK_NORM, GATED],
    heads: WIDE,
    ..LLAMA
};

pub(super) const GPT2: Plan = Plan {
    name: "gpt2",
    metadata: &[COMMON, &[number("attention.layer_norm_epsilon", 1e-5)]],
    before: &[
        ("token_embd.weight", &[Embedding, Vocabulary], Table),
        ("position_embd.weight", &[Embedding, Context], Table),
    ],
    block: &[GPT2_BLOCK],
    after: &[NORM, ("output_norm.bias", &[Embedding], Bias)],
    heads: MULTI_HEAD,
};

/// Shorter than the prompts of tests, so that something is outside.
const WINDOW: (&str, Value) = ("attention.sliding_window", Value::Count(4));

pub(super) const GEMMA2: Plan = Plan {
    name: "gemma2",
    metadata: &[
        COMMON,
        ROTATION,
        HEAD_SIZE,
        &[
            number("rope.freq_base", 10_000.0),
            number(EPSILON, 1e-6),
            WINDOW,
            // Lower than in real models, whose numbers are larger.
            number("attn_logit_softcapping", 2.0),
            number("final_logit_softcapping", 3.0),
        ],
    ],
    block: &[ATTENTION, GATED, POST_NORMS],
    heads: WIDE,
    ..LLAMA
};

pub(super) const GEMMA3: Plan = Plan {
    name: "gemma3",
    metadata: &[
        COMMON,
        ROTATION,
        HEAD_SIZE,
        &[
            number("rope.freq_base", 1_000_000.0),
            number("rope.freq_base_swa", 10_000.0),
            number(EPSILON, 1e-6),
            WINDOW,
            ("attention.sliding_window_pattern", Value::Count(2)),
        ],
    ],
    block: &[ATTENTION, QK_NORM, GATED, POST_NORMS],
    heads: WIDE,
    ..LLAMA
};

pub(super) const PHI3: Plan = Plan {
    name: "phi3",
    before: &[
        ("token_embd.weight", &[Embedding, Vocabulary], Table),
        ("rope_factors_long.weight", &[Size::Pairs], Around1),
        ("rope_factors_short.weight", &[Size::Pairs], Around1),
    ],
    block: &[&[
        ("attn_norm.weight", &[Embedding], Around1),
        ("attn_qkv.weight", &[Embedding, Size::Fused], Matrix),
        ("attn_output.weight", &[Query, Embedding], Matrix),
        ("ffn_norm.weight", &[Embedding], Around1),
        ("ffn_up.weight", &[Embedding, Size::GateAndUp], Matrix),
        ("ffn_down.weight", &[FeedForward, Embedding], Matrix),
    ]],
    after: &[NORM, OUTPUT],
    ..LLAMA
};

const EXPERTS: Metadata = &[
    ("expert_count", Value::Size(Experts)),
    ("expert_used_count", Value::Count(2)),
];

pub(super) const MIXTRAL: Plan = Plan {
    metadata: &[
        COMMON,
        ROTATION,
        EXPERTS,
        &[number("rope.freq_base", 1_000_000.0), number(EPSILON, 1e-5)],
    ],
    block: &[
        ATTENTION,
        &[
            ("ffn_norm.weight", &[Embedding], Around1),
            ("ffn_gate_inp.weight", &[Embedding, Experts], Matrix),
            (
                "ffn_gate_exps.weight",
                &[Embedding, FeedForward, Experts],
                Matrix,
            ),
            (
                "ffn_up_exps.weight",
                &[Embedding, FeedForward, Experts],
                Matrix,
            ),
            (
                "ffn_down_exps.weight",
                &[FeedForward, Embedding, Experts],
                Matrix,
            ),
        ],
    ],
    after: &[NORM, OUTPUT],
    ..LLAMA
};

/// Experts of a size of their own.
const SMALL_EXPERTS: &[Row] = &[
    ("ffn_norm.weight", &[Embedding], Around1),
    ("ffn_gate_inp.weight", &[Embedding, Experts], Matrix),
    (
        "ffn_gate_exps.weight",
        &[Embedding, Expert, Experts],
        Matrix,
    ),
    ("ffn_up_exps.weight", &[Embedding, Expert, Experts], Matrix),
    (
        "ffn_down_exps.weight",
        &[Expert, Embedding, Experts],
        Matrix,
    ),
];

const EXPERT_SIZE: (&str, Value) = ("expert_feed_forward_length", Value::Size(Expert));

pub(super) const QWEN2MOE: Plan = Plan {
    name: "qwen2moe",
    metadata: &[
        COMMON,
        ROTATION,
        EXPERTS,
        &[
            EXPERT_SIZE,
            ("expert_shared_feed_forward_length", Value::Size(Shared)),
            number("rope.freq_base", 1_000_000.0),
            number(EPSILON, 1e-6),
        ],
    ],
    block: &[
        ATTENTION,
        QKV_BIAS,
        SMALL_EXPERTS,
        &[
            ("ffn_gate_inp_shexp.weight", &[Embedding], Matrix),
            ("ffn_gate_shexp.weight", &[Embedding, Shared], Matrix),
            ("ffn_up_shexp.weight", &[Embedding, Shared], Matrix),
            ("ffn_down_shexp.weight", &[Shared, Embedding], Matrix),
        ],
    ],
    after: &[NORM, OUTPUT],
    ..LLAMA
};

pub(super) const QWEN3MOE: Plan = Plan {
    name: "qwen3moe",
    metadata: &[
        COMMON,
        ROTATION,
        HEAD_SIZE,
        EXPERTS,
        &[
            EXPERT_SIZE,
            number("rope.freq_base", 1_000_000.0),
            number(EPSILON, 1e-6),
        ],
    ],
    block: &[ATTENTION, QK_NORM, SMALL_EXPERTS],
    heads: WIDE,
    ..LLAMA
};
