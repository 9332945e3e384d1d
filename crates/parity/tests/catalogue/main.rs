//! Mistakes of tools and of inputs that others have reported, each reproduced and put before the product.
//!
//! The list is `family = tooling` and `family = tokens_alignment` of the fault catalogue. Every case has a test here, or a
//! line that says where it is tested, or why no trace can show it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod capturing;
mod comparing;
mod conventions;
#[path = "../support/mod.rs"]
mod support;
mod tokens;

use parity::check::soundness::{SoundnessReport, check_trace};
use parity::trace::Trace;
use std::collections::BTreeMap;
use std::path::PathBuf;
use support::{Line, noise, record};

/// Case, and the test or the reason.
const CASES: [(&str, &str); 30] = [
    ("lm-evaluation-harness-1465", "tokens::a_missing_bos"),
    ("lm-evaluation-harness-3333", "tokens::a_bos_too_many"),
    (
        "maxtext-2103",
        "tokens::log_probabilities_of_the_row_of_their_own_token",
    ),
    ("hipfire-274", "tokens::a_penalty_after_the_forward_pass"),
    (
        "faster-whisper-1084",
        "tokens::padded_frames_of_another_constant",
    ),
    (
        "llama-cpp-15637",
        "capturing::a_checksum_of_what_was_printed",
    ),
    (
        "llama-cpp-17028",
        "capturing::four_decimals_hide_what_all_digits_show",
    ),
    ("ggml-700", "capturing::two_tensors_of_one_buffer"),
    ("sglang-38439", "capturing::hooks_that_ran_at_capture_only"),
    ("pytorch-117758", "capturing::hooks_that_never_ran"),
    ("torchspec-87", "conventions::a_layer_index_off_by_one"),
    ("miles-2821", "comparing::half_the_records"),
    (
        "sglang-12623",
        "elsewhere: shards of column- and row-parallel layers merge in `parity/tests/shards.rs`",
    ),
    ("tt-metal-24928", "comparing::a_correlation_with_a_constant"),
    ("ocannl-523", "comparing::a_flat_line_near_a_slow_curve"),
    (
        "pypto-1945",
        "comparing::one_unit_in_the_last_place_of_bf16",
    ),
    (
        "vllm-metal-659-2",
        "not by two traces: which order a bf16 pipeline rounds in shows only when the operation is computed again with \
         the pipeline's own roundings, which is `parity verify` (tests of `recompute`)",
    ),
    ("sglang-20714", "capturing::numbers_that_json_does_not_have"),
    (
        "llama-cpp-6040",
        "conventions::dimensions_in_the_opposite_order",
    ),
    (
        "pytorch-86264",
        "capturing::a_copy_read_before_it_was_there",
    ),
    ("nnterp-54", "conventions::a_multiplier_outside_the_module"),
    ("transformerlens-693", "conventions::a_centred_unembedding"),
    (
        "transformerlens-1699",
        "comparing::a_run_that_the_capture_changed",
    ),
    ("tt-xla-4614", "tokens::two_continuations"),
    (
        "codebase-memory-mcp-1644",
        "capturing::a_log_that_ends_in_a_crash",
    ),
    (
        "ludwig-4182",
        "elsewhere: that memory does not grow with a trace is measured in `parity-cli/tests/compare.rs`, that of the \
         logger in `orch-log/tests/no_allocation.rs`",
    ),
    (
        "llama-cpp-22565",
        "comparing::another_checkpoint_of_the_model",
    ),
    (
        "flash-linear-attention-1080",
        "comparing::more_is_wrong_than_is_nan",
    ),
    (
        "rknn-llm-501",
        "conventions::one_token_at_two_positions_without_a_reference",
    ),
    (
        "llama-cpp-17980",
        "comparing::the_first_cause_and_not_only_the_last_effect",
    ),
];

#[test]
fn every_case_of_the_catalogue_is_here() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/design/fault-catalogue.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: `{}` is not here", path.display());
        return;
    };
    let catalogue: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let known: BTreeMap<&str, &str> = CASES.into_iter().collect();
    let of_family = |case: &&serde_json::Value| {
        case["family"] == "tooling" || case["family"] == "tokens_alignment"
    };
    let wanted: Vec<&str> = catalogue
        .iter()
        .filter(of_family)
        .map(|case| case["id"].as_str().unwrap())
        .collect();
    assert_eq!((wanted.len(), known.len()), (30, 30));
    assert!(wanted.iter().all(|id| known.contains_key(id)));
    // A test that is named exists.
    let sources = [
        include_str!("tokens.rs"),
        include_str!("capturing.rs"),
        include_str!("comparing.rs"),
        include_str!("conventions.rs"),
    ];
    for (id, place) in CASES {
        if let Some((_, function)) = place.split_once("::").filter(|_| !place.contains(' ')) {
            assert!(
                sources
                    .iter()
                    .any(|source| source.contains(&format!("fn {function}()"))),
                "{id}: {place}"
            );
        }
    }
}

/// Checkpoints of a block, in dataflow order.
const BLOCK: [&str; 9] = [
    "attn_norm",
    "q",
    "v",
    "attn_context",
    "attn_out",
    "attn_residual",
    "ffn_up",
    "ffn_out",
    "output",
];

/// Elements of a row, as many as a logger shows and enough to tell coincidence from repetition.
const WIDTH: usize = 16;

/// A sound trace of two layers, one record a token, every element there. `value` is asked for name, position and the plain
/// values, so that a test changes what it wants.
fn engine(positions: i64, value: impl Fn(&str, i64, Vec<f32>) -> Vec<f32>) -> Vec<Line> {
    let mut lines = Vec::new();
    for position in 0..positions {
        lines.push(
            support::tokens(position, &[100 + position as i32])
                .with("step", serde_json::json!(position)),
        );
        for (index, (name, width)) in names().into_iter().enumerate() {
            let seed = 1 + index as u64 * 1000 + position as u64;
            let values = value(&name, position, noise(seed, width));
            lines.push(record(&name, position, &values).step(position as u64));
        }
    }
    lines
}

fn names() -> Vec<(String, usize)> {
    let mut names = vec![("embedding".to_owned(), WIDTH)];
    for layer in 0..2 {
        names.extend(BLOCK.map(|stage| (format!("layer_{layer}_{stage}"), WIDTH)));
    }
    names.push(("final_norm".to_owned(), WIDTH));
    names.push(("logits".to_owned(), 24));
    names
}

/// Place of a name in the dataflow.
fn place(name: &str) -> usize {
    names().iter().position(|(other, _)| other == name).unwrap()
}

/// The trace as it is.
fn plain(positions: i64) -> Vec<Line> {
    engine(positions, |_, _, values| values)
}

fn checked(trace: &Trace) -> SoundnessReport {
    check_trace(trace, &mut |_| {}).unwrap()
}

/// Codes of what a check found.
fn check_codes(lines: &[Line]) -> Vec<&'static str> {
    let folder = support::Folder::new();
    checked(&folder.write("t.jsonl", lines))
        .findings
        .iter()
        .map(|finding| finding.code)
        .collect()
}
