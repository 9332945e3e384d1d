//! Every mistake of an engine in the catalogue of reported ones has a rule, or a line that says why not.

use crate::expected::expected;
use parity::explain::RULES;
use std::collections::BTreeMap;
use std::path::Path;

/// Where a reported mistake is reproduced.
enum Shown {
    /// By a mistake of the worker.
    Planted(&'static str),
    /// By a test of `parity` (`tests/explain`) on small tensors.
    Simulated(&'static str),
    /// Nowhere, for this reason.
    No(&'static str),
}

use Shown::{No, Planted, Simulated};

/// The families that other tests speak of: `parity/tests/catalogue`.
const ELSEWHERE: [&str; 2] = ["tooling", "tokens_alignment"];

const CASES: [(&str, Shown); 121] = [
    ("shainet-111", Planted("rope-pairing")),
    ("aprender-2084", Planted("rope-pairing")),
    ("llama-cpp-3364", Planted("k-rows-query-heads")),
    ("transformers-31788", Planted("k-rows-query-heads")),
    ("llama2-c-286", Planted("qk-rows-unshuffled")),
    ("nurl-584", Planted("qk-rows-unshuffled")),
    ("flash-attention-546", Planted("k-rows-query-heads")),
    ("vllm-metal-44", Planted("rope-output-layout")),
    ("mlx-3494", Planted("rope-first-row-only")),
    ("candle-3746", Planted("rope-base")),
    ("llm-awq-311", Planted("rope-base-decode")),
    ("aneforge-58", Planted("rope-llama3-scaling")),
    ("mlxcel-1688", Planted("rope-linear-scaling")),
    ("mlx-vlm-1709", Planted("rope-linear-scaling")),
    ("ollama-12348", Planted("rope-linear-scaling")),
    ("llama-models-241", Planted("rope-llama3-scaling")),
    (
        "llama-cpp-8676",
        Simulated("frequency_factors_of_the_long_context"),
    ),
    (
        "llama-cpp-24823",
        Simulated("frequency_factors_of_the_long_context"),
    ),
    ("mlx-lm-1698", Planted("rope-partial")),
    ("imp-880", Planted("rope-amplitude")),
    ("transformers-47435", Planted("missing-attn-scale")),
    ("mlx-lm-1507", Planted("rope-amplitude")),
    ("candle-3520", Simulated("positions_in_bf16")),
    ("xformers-841", Planted("rope-head-axis")),
    ("automodel-2377", Planted("rope-position-restart")),
    (
        "camelid-535",
        Simulated("rotation_in_a_layer_that_has_none"),
    ),
    (
        "transformers-43756",
        Simulated("rotation_in_a_layer_that_has_none"),
    ),
    (
        "mlx-node-80",
        No(
            "positions along three axes: a record has one position, and with text all three are the same",
        ),
    ),
    (
        "llama-cpp-13159",
        No("a fourth axis of positions, which only images and sound have"),
    ),
    ("llama-cpp-4889", Planted("rope-partial")),
    ("unsloth-4100", Planted("rope-position-offset")),
    (
        "mlx-lm-1906",
        Simulated("padding_on_the_left_that_is_not_masked"),
    ),
    ("lightseq-144", Planted("learned-position-offset")),
    ("llama-cpp-8444", Planted("attn-scale-embedding")),
    ("transformerlens-27", Planted("attn-scale-by-layer")),
    ("opentau-179", Planted("embedding-scale")),
    (
        "transformers-29402",
        Simulated("the_embedding_scale_rounded_to_bf16"),
    ),
    ("ctranslate2-1882", Planted("logit-scale")),
    ("sglang-33915", Planted("softcap-attention")),
    (
        "sglang-1046",
        Simulated("a_soft_cap_that_the_candidate_lacks"),
    ),
    ("executorch-19901", Planted("norm-weight-plus-one")),
    ("imp-1289", Planted("final-norm-weight-plus-one")),
    ("imp-459", Planted("norm-weight-plus-one")),
    ("candle-271", Planted("rms-eps")),
    ("gpt-neox-1342", Planted("norm-eps-outside")),
    ("tract-2749", Planted("norm-centred")),
    ("llm-foundry-372", Planted("norm-inverted")),
    ("vllm-16311", Planted("qk-norm-scope")),
    ("vllm-metal-659", Planted("qk-norm-missing")),
    (
        "llama-cpp-15852",
        No(
            "the report never found its cause; the place that it names, the first projection, is what a comparison shows",
        ),
    ),
    ("olmo-680", Planted("residual-uses-normed")),
    ("mlx-1636", Planted("ffn-norm-attn-weight")),
    ("deepspeed-2446", Planted("residual-parallel")),
    ("sglang-27540", Planted("norm-bf16-before-weight")),
    ("aneforge-253", Planted("missing-qkv-bias")),
    (
        "vllm-46835",
        Simulated("a_bias_of_the_output_head_that_is_dropped"),
    ),
    ("minivllm-80", Planted("bias-by-every-rank")),
    ("nano-vllm-99", Planted("bias-by-every-rank")),
    ("1bit-monster-864", Planted("transposed-weight")),
    ("autogptq-139", Planted("transposed-weight")),
    ("1bit-monster-572", Planted("reshaped-weight")),
    (
        "vllm-42803",
        Simulated("a_fused_projection_of_two_shards_cut_as_one"),
    ),
    ("rl-2802", Planted("fused-qkv-woven")),
    ("nntile-347", Planted("attn-out-head-order")),
    (
        "onnx-7274",
        Simulated("fused_attention_hides_no_scale_mask_head_or_stride"),
    ),
    ("mlx-lm-767", Planted("swiglu-operands")),
    ("rocmfpx-49", Planted("swapped-gate-up")),
    (
        "llm-compressor-3100",
        Simulated("gate_and_up_in_alternating_columns"),
    ),
    ("transformers-43429", Planted("weight-not-loaded")),
    ("mlx-audio-902", Planted("weight-not-loaded")),
    ("raven-81", Planted("weight-zero")),
    (
        "mlx-node-87",
        Simulated("a_scale_folded_into_the_wrong_norm"),
    ),
    (
        "aprender-2115",
        No(
            "blocks of Q3_K are not taken apart here; `parity verify` shows that no product follows from its weights",
        ),
    ),
    ("aprender-1656", Planted("dequant-nibbles-woven")),
    ("imp-567", Planted("dequant-nibbles-woven")),
    ("mlx-3664", Planted("dequant-header-short")),
    ("1bit-monster-153", Planted("dequant-scale-of-neighbour")),
    ("vllm-38966", Planted("dequant-zero-off-by-one")),
    ("llm-awq-324", Planted("dequant-unsigned")),
    ("flashinfer-4979", Planted("kv-scale-forgotten")),
    ("vllm-55670", Planted("kv-scale-forgotten")),
    ("sgl-flash-attn-49", Planted("kv-fp8")),
    ("burn-4410", Planted("gelu-erf-for-tanh")),
    ("llm-scaler-484", Planted("activation-exp-f16")),
    ("mlxcel-391", Simulated("a_softmax_over_the_chosen_only")),
    (
        "torchtitan-1448",
        Simulated("chosen_probabilities_not_renormalised"),
    ),
    ("sglang-jax-1282", Simulated("the_factor_of_routed_experts")),
    (
        "vllm-12002",
        Simulated("the_bias_of_the_choice_in_the_weights"),
    ),
    (
        "torchtitan-36",
        Simulated("a_shared_expert_without_its_gate"),
    ),
    (
        "ik-llama-cpp-1368",
        Simulated("a_gate_that_multiplies_the_routed_experts_too"),
    ),
    (
        "vllm-49366",
        Simulated("a_shared_expert_added_by_every_rank"),
    ),
    ("tpu-inference-3435", Planted("split-sum-lost")),
    (
        "transformers-39408",
        Simulated("layers_with_and_without_a_window_exchanged"),
    ),
    (
        "candle-3698",
        Simulated("fused_attention_hides_no_scale_mask_head_or_stride"),
    ),
    (
        "transformers-31775",
        Simulated("layers_with_and_without_a_window_exchanged"),
    ),
    ("vllm-metal-550", Planted("attention-sink")),
    ("aprender-2143", Planted("alibi")),
    (
        "tensorrt-llm-1343",
        Simulated("a_table_of_relative_positions_read_at_another_place"),
    ),
    (
        "transformers-8518",
        Simulated("a_table_of_relative_positions_read_at_another_place"),
    ),
    (
        "pegainfer-350",
        Simulated("pages_past_the_end_of_the_sequence"),
    ),
    ("imp-538", Planted("kv-cache-stale")),
    ("ssd-23", Planted("kv-pages-exchanged")),
    ("tt-metal-54413", Planted("kv-rows-zero")),
    (
        "mamba-1027",
        No("the state of a convolution: no recurrent architecture has checkpoints here"),
    ),
    (
        "colibri-1554",
        Simulated("a_choice_among_the_first_experts_only"),
    ),
    ("flash-attention-1745", Planted("nan-from-padding")),
    (
        "cubecl-1070",
        No("a row that sees nothing: with a causal mask each token sees itself"),
    ),
    ("vllm-52109", Planted("cache-offset-overflow")),
    ("transformers-5651", Planted("f16-ffn-out")),
    ("hip-ep-168", Simulated("a_stream_that_overflows_in_f16")),
    ("llama-cpp-8412", Planted("f16-scores")),
    (
        "exllamav2-554",
        Simulated("rounding_decides_between_two_experts"),
    ),
    (
        "candle-3703",
        Simulated("fused_attention_hides_no_scale_mask_head_or_stride"),
    ),
    ("ik-llama-cpp-933", Planted("bias-first-row-only")),
    ("ik-llama-cpp-2136", Planted("stale-norm-buffer")),
    ("fastvideo-870", Simulated("an_adapter_without_its_scale")),
    ("1bit-monster-572-2", Planted("dequant-twos-complement")),
    ("shainet-176", Planted("missing-attn-scale")),
    ("tinygrad-14278", Planted("activation-in-place-twice")),
    (
        "llama-cpp-17032",
        Simulated("weights_of_the_first_token_for_all"),
    ),
    ("imp-1282", Simulated("nan_from_a_fixed_token_on")),
];

#[test]
fn every_reported_mistake_of_an_engine_has_a_rule_or_a_reason() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/design/fault-catalogue.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: `{}` is not here", path.display());
        return;
    };
    let catalogue: Vec<serde_json::Value> =
        serde_json::from_str(&text).expect("the catalogue is JSON");
    let cases: BTreeMap<&str, &Shown> = CASES.iter().map(|(id, shown)| (*id, shown)).collect();
    assert_eq!(cases.len(), CASES.len(), "a case is there twice");
    let sources = [
        include_str!("../../parity/tests/explain/main.rs"),
        include_str!("../../parity/tests/explain/experts.rs"),
        include_str!("../../parity/tests/explain/reported.rs"),
    ];
    let mut seen = 0;
    for case in &catalogue {
        let of = |key: &str| case[key].as_str().unwrap_or_default();
        if ELSEWHERE.contains(&of("family")) {
            continue;
        }
        seen += 1;
        let id = of("id");
        let report = format!("{}#{}", of("repo"), case["number"]);
        let shown = cases
            .get(id)
            .unwrap_or_else(|| panic!("{id} ({report}) has neither rule nor reason"));
        let names_it = |code: &str| {
            RULES
                .iter()
                .any(|rule| rule.page.code == code && rule.page.reports.contains(&report.as_str()))
        };
        match shown {
            // The rule that the mistake's arithmetic leads to is one that names the report.
            Planted(fault) => {
                let codes = expected(fault);
                assert!(
                    codes.iter().any(|code| names_it(code)),
                    "{id}: none of {codes:?} names {report}"
                );
            }
            Simulated(test) => {
                let is_there = sources
                    .iter()
                    .any(|source| source.contains(&format!("fn {test}()")));
                assert!(is_there, "{id}: no test `{test}`");
                assert!(
                    RULES.iter().any(|rule| names_it(rule.page.code)),
                    "{id}: no rule names {report}"
                );
            }
            No(reason) => assert!(reason.len() > 30, "{id}: {reason}"),
        }
    }
    assert_eq!(seen, CASES.len(), "cases that the catalogue does not have");
}
