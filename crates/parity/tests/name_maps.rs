//! Other engines' names.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use parity::Options;
use parity::align::maps::{Choice, Mapped, NameMap, Sample, choose, shipped, shipped_map};
use parity::align::{Place, Stage};
use serde_json::json;
use std::sync::Arc;
use support::{Folder, Line, codes, compare_lines, compare_with, noise, record};

fn parsed(name: &str, op: Option<&str>, occurrence: u64) -> orch_log::format::Record {
    let mut line = record(name, 0, &[1.0]).with("occurrence", json!(occurrence));
    if let Some(op) = op {
        line = line.with("op", json!(op));
    }
    let text = line.0.to_string();
    orch_log::format::parse_line(text.as_bytes())
        .unwrap()
        .record
}

fn targets(map: &NameMap, name: &str, op: Option<&str>) -> Vec<String> {
    match map.bound().map(&parsed(name, op, 0)) {
        Mapped::Targets(targets) => targets
            .into_iter()
            .map(|target| target.checkpoint)
            .collect(),
        Mapped::Ignored => vec!["ignored".to_owned()],
        Mapped::Unknown => vec!["unknown".to_owned()],
    }
}

/// A name, its operation, and the checkpoints that it stands for.
type Reads<'a> = (&'a str, Option<&'a str>, &'a [&'a str]);

#[test]
fn shipped_maps_speak_of_canonical_checkpoints() {
    // What each map reads of a model's layer 7, written out by hand from the engines' own sources.
    let expected: [(&str, &[Reads]); 6] = [
        (
            "huggingface",
            &[
                ("model.embed_tokens", None, &["embedding"]),
                (
                    "model.layers.7.input_layernorm",
                    None,
                    &["layer_7_attn_norm"],
                ),
                ("model.layers.7.self_attn.q_proj", None, &["layer_7_q"]),
                ("model.layers.7.self_attn.k_norm", None, &["layer_7_k_norm"]),
                (
                    "model.layers.7.self_attn.qkv_proj",
                    None,
                    &["layer_7_q", "layer_7_k", "layer_7_v"],
                ),
                (
                    "model.layers.7.self_attn.o_proj.input",
                    None,
                    &["layer_7_attn_context"],
                ),
                (
                    "model.layers.7.post_attention_layernorm",
                    None,
                    &["layer_7_ffn_norm"],
                ),
                (
                    "model.layers.7.mlp.down_proj.input",
                    None,
                    &["layer_7_ffn_act"],
                ),
                ("model.layers.7.mlp.act_fn", None, &["ignored"]),
                ("model.layers.7", None, &["layer_7_output"]),
                ("model.layers.7.input", None, &["layer_6_output"]),
                ("model.layers.0.input", None, &["embedding"]),
                ("model.norm", None, &["final_norm"]),
                ("lm_head", None, &["logits"]),
                (
                    "transformer.h.7.attn.c_attn",
                    None,
                    &["layer_7_q", "layer_7_k", "layer_7_v"],
                ),
                ("transformer.h.7.mlp.c_fc.input", None, &["ignored"]),
                (
                    "transformer.h.7.ln_2.input",
                    None,
                    &["layer_7_attn_residual"],
                ),
                ("transformer.ln_f", None, &["final_norm"]),
                ("vision_tower.x", None, &["unknown"]),
            ],
        ),
        (
            "huggingface-post-norm",
            &[
                (
                    "model.layers.7.post_attention_layernorm",
                    None,
                    &["layer_7_attn_post_norm"],
                ),
                (
                    "model.layers.7.pre_feedforward_layernorm",
                    None,
                    &["layer_7_ffn_norm"],
                ),
                ("model.layers.0.input_layernorm.input", None, &["embedding"]),
            ],
        ),
        (
            "llama.cpp",
            &[
                ("attn_norm-7", Some("MUL"), &["layer_7_attn_norm"]),
                ("Qcur-7", Some("MUL_MAT"), &["layer_7_q"]),
                ("Qcur-7", Some("ROPE"), &["layer_7_q_rope"]),
                ("Qcur-7", Some("RESHAPE"), &["ignored"]),
                ("Qcur-7 (reshaped)", Some("RESHAPE"), &["ignored"]),
                ("kqv_out-7", Some("CONT"), &["layer_7_attn_context"]),
                ("ffn_inp-7", Some("ADD"), &["layer_7_attn_residual"]),
                ("l_out-7", Some("ADD"), &["layer_7_output"]),
                ("result_output", Some("MUL_MAT"), &["logits"]),
                ("node_12", Some("ADD"), &["ignored"]),
            ],
        ),
        (
            "candle",
            &[
                ("blk.7.attn_q", None, &["layer_7_q"]),
                ("blk.7.ffn_down.input", None, &["layer_7_ffn_act"]),
                ("output_norm", None, &["final_norm"]),
            ],
        ),
        (
            "vllm",
            &[
                (
                    "model.layers.7.self_attn.qkv_proj",
                    None,
                    &["layer_7_q", "layer_7_k", "layer_7_v"],
                ),
                (
                    "model.layers.7.self_attn.rotary_emb.1",
                    None,
                    &["layer_7_k_rope"],
                ),
                (
                    "model.layers.7.mlp.gate_up_proj",
                    None,
                    &["layer_7_ffn_gate", "layer_7_ffn_up"],
                ),
                (
                    "model.layers.7.post_attention_layernorm.1",
                    None,
                    &["layer_7_attn_residual"],
                ),
                ("model.layers.7.1", None, &["layer_7_attn_residual"]),
                (
                    "model.layers.7.input_layernorm.1",
                    None,
                    &["layer_6_output"],
                ),
                ("model.norm.1", None, &["ignored"]),
            ],
        ),
        (
            "sglang",
            &[(
                "model.layers.7.self_attn.attn",
                None,
                &["layer_7_attn_context"],
            )],
        ),
    ];
    assert_eq!(expected.len(), shipped().len());
    for (map, names) in expected {
        let map = shipped_map(map).unwrap();
        assert!(!map.about().is_empty());
        for (name, op, wanted) in names {
            let got = targets(map, name, *op);
            assert_eq!(got, *wanted, "{} {name}", map.name());
            for target in got
                .iter()
                .filter(|name| *name != "ignored" && *name != "unknown")
            {
                assert!(Place::of(target).is_some(), "{target}");
            }
        }
    }
}

#[test]
fn a_projection_with_bias_is_the_sum() {
    let map = shipped_map("llama.cpp").unwrap();
    let mut sample = Sample::default();
    for op in ["MUL_MAT", "ADD", "ROPE"] {
        sample.add(&parsed("Qcur-0", Some(op), 0));
    }
    sample.add(&parsed("Kcur-0", Some("MUL_MAT"), 0));
    let chosen = choose(&sample, &Choice::Map(Arc::new(map.clone())));
    let bound = chosen.bound().unwrap();
    let mapped = |name, op| bound.map(&parsed(name, Some(op), 0));
    assert_eq!(mapped("Qcur-0", "MUL_MAT"), Mapped::Ignored);
    assert!(matches!(mapped("Qcur-0", "ADD"), Mapped::Targets(_)));
    assert!(matches!(mapped("Kcur-0", "MUL_MAT"), Mapped::Targets(_)));
}

/// A layer as one engine names it: pairs of canonical name and own name.
fn hugging_face(layer: usize) -> Vec<(String, String)> {
    [
        ("attn_norm", "input_layernorm"),
        ("q", "self_attn.q_proj"),
        ("k", "self_attn.k_proj"),
        ("v", "self_attn.v_proj"),
        ("attn_out", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_out", "mlp.down_proj"),
    ]
    .map(|(ours, theirs)| {
        (
            format!("layer_{layer}_{ours}"),
            format!("model.layers.{layer}.{theirs}"),
        )
    })
    .to_vec()
}

#[test]
fn a_shipped_map_is_chosen_by_the_names_and_named_in_the_report() {
    let names: Vec<(String, String)> = (0..3).flat_map(hugging_face).collect();
    let lines = |pick: fn(&(String, String)) -> &str| -> Vec<Line> {
        let line = |(seed, name): (usize, &(String, String))| {
            record(pick(name), 0, &noise(seed as u64 + 1, 8))
        };
        names.iter().enumerate().map(line).collect()
    };
    let ours = lines(|names| &names.0);
    let mut theirs = lines(|names| &names.1);
    // The attention's output once more, under the name of the whole module.
    theirs.push(record("model.layers.1.self_attn", 0, &[9.0; 8]));
    theirs.push(record("model.layers.1.mlp.act_fn", 0, &[9.0; 8]));
    for (reference, candidate, side) in
        [(&ours, &theirs, "candidate"), (&theirs, &ours, "reference")]
    {
        let report = compare_lines(reference, candidate);
        assert_eq!(
            (report.verdict.as_str(), report.coverage.compared),
            ("match", 27)
        );
        let used = &report.alignment.maps;
        assert_eq!(used.len(), 1);
        assert_eq!(
            (
                used[0].side.as_str(),
                used[0].map.as_str(),
                used[0].automatic
            ),
            (side, "huggingface", true)
        );
        assert_eq!(
            (
                used[0].known_names,
                used[0].foreign_names,
                used[0].ignored_records
            ),
            (29, 29, 2)
        );
        assert_eq!(
            report.coverage.missing_in_reference.records
                + report.coverage.missing_in_candidate.records,
            0
        );
        assert!(
            !codes(&report).contains(&"S031"),
            "an alias is no duplicate"
        );
    }
    // Two traces with equal names of their own need no map, and the same one does no harm.
    let report = compare_lines(&theirs, &theirs);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 27)
    );
    // Nobody is asked to believe a map that was not wanted.
    let folder = Folder::new();
    let options = Options {
        candidate_map: Choice::AsTheyAre,
        ..Options::default()
    };
    let report = compare_with(
        &folder.write("a.jsonl", &ours),
        &folder.write("b.jsonl", &theirs),
        &options,
    );
    assert_eq!(codes(&report)[0], "C005");
}

#[test]
fn gemma_is_not_taken_for_llama() {
    let mut names: Vec<String> = hugging_face(0)
        .into_iter()
        .map(|(_, theirs)| theirs)
        .collect();
    let chosen = |names: &[String]| {
        let mut sample = Sample::default();
        names
            .iter()
            .for_each(|name| sample.add(&parsed(name, None, 0)));
        choose(&sample, &Choice::Auto)
            .map
            .map(|map| map.name().to_owned())
    };
    assert_eq!(chosen(&names).as_deref(), Some("huggingface"));
    names.push("model.layers.0.pre_feedforward_layernorm".to_owned());
    names.push("model.layers.0.post_feedforward_layernorm".to_owned());
    assert_eq!(chosen(&names).as_deref(), Some("huggingface-post-norm"));
    assert_eq!(chosen(&["a".to_owned(), "b".to_owned()]), None);
}

#[test]
fn maps_that_read_the_same_names_differently_are_not_guessed_between() {
    // Fused projections are Phi-3 of transformers or any model of vLLM, whose block gives another tensor.
    let mut sample = Sample::default();
    for name in [
        "model.layers.0.self_attn.qkv_proj",
        "model.layers.0.mlp.gate_up_proj",
        "model.layers.0",
    ] {
        sample.add(&parsed(name, None, 0));
    }
    let chosen = choose(&sample, &Choice::Auto);
    assert!(chosen.map.is_none());
    assert_eq!(chosen.undecided, ["huggingface", "vllm", "sglang"]);
    let mut record = parsed("model.layers.0.self_attn.o_proj", None, 0);
    record.team = "vLLM".to_owned();
    sample.add(&record);
    assert_eq!(choose(&sample, &Choice::Auto).map.unwrap().name(), "vllm");
}

#[test]
fn an_own_map_with_another_point_of_the_graph_and_a_layout() {
    let text = r#"
        [names]
        "hidden_states.{i}" = "layer_{i-1}_output"
        "hidden_states.2" = "final_norm"
        "block{i}/query" = { to = "layer_{i}_q", layout = "heads,tokens,dim" }
        "block{i}/fused" = { parts = ["layer_{i}_ffn_gate", "layer_{i}_ffn_up"] }
        "block{i}/debug" = { ignore = true }
    "#;
    let map = Arc::new(NameMap::parse(text, "mine.toml").unwrap());
    let (x, y, z) = (noise(1, 6), noise(2, 6), noise(3, 6));
    let query = noise(4, 24);
    // [tokens 2, heads 3, dim 4] and the same with heads outermost.
    let heads_first: Vec<f32> = (0..24)
        .map(|i| query[(i / 4 % 2) * 12 + i / 8 * 4 + i % 4])
        .collect();
    let two = |line: Line, dims: &[usize]| line.shape(dims).n_tokens(2);
    let reference = [
        two(record("embedding", 0, &x), &[2, 3]),
        two(record("layer_0_q", 0, &query), &[2, 3, 4]),
        two(
            record("layer_0_ffn_gate", 0, &[1.0, 2.0, 5.0, 6.0]),
            &[2, 2],
        ),
        two(record("layer_0_ffn_up", 0, &[3.0, 4.0, 7.0, 8.0]), &[2, 2]),
        two(record("layer_0_output", 0, &y), &[2, 3]),
        two(record("final_norm", 0, &z), &[2, 3]),
    ];
    let candidate = [
        two(record("hidden_states.0", 0, &x), &[2, 3]),
        two(record("block0/query", 0, &heads_first), &[3, 2, 4]),
        two(
            record("block0/fused", 0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            &[2, 4],
        ),
        two(record("block0/debug", 0, &x), &[2, 3]),
        two(record("hidden_states.1", 0, &y), &[2, 3]),
        two(record("hidden_states.2", 0, &z), &[2, 3]),
    ];
    let folder = Folder::new();
    let options = Options {
        candidate_map: Choice::Map(map),
        ..Options::default()
    };
    let report = compare_with(
        &folder.write("a.jsonl", &reference),
        &folder.write("b.jsonl", &candidate),
        &options,
    );
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 6),
        "{:?}",
        report.coverage
    );
    let undone: Vec<(&str, u64)> = report
        .alignment
        .undone
        .iter()
        .map(|undone| (undone.name.as_str(), undone.pairs))
        .collect();
    assert_eq!(undone, [("axes-swapped", 1), ("fused", 2)]);
    assert_eq!(
        report.alignment.undone[0].checkpoints,
        [format!("layer_*_{}", Stage::Q.name())]
    );
}

#[test]
fn what_is_wrong_with_a_map_is_said() {
    for (text, said) in [
        ("names = 1", "names"),
        ("", "[names]"),
        ("[names]\n\"a\" = 1", "`to`"),
        ("[names]\n\"a\" = { too = \"b\" }", "`to`"),
        ("[names]\n\"a{i\" = \"b\"", "entry `a{i`"),
        ("[names]\n\"a\" = \"layer_{i}_q\"", "`{i}`"),
        (
            "[names]\n\"a\" = { to = \"b\", ignore = true }",
            "exactly one",
        ),
        ("[names]\n\"a\" = { parts = [\"b\"] }", "at least two"),
        (
            "[names]\n\"a\" = { to = \"b\", layout = \"heads,dim\" }",
            "tokens",
        ),
        (
            "[names]\n\"a\" = { to = \"b\", layout = \"tokens,colour\" }",
            "colour",
        ),
        ("[names]\n\"a\" = \"b\"\n\"a\" = \"c\"", "line 3"),
    ] {
        let error = NameMap::parse(text, "mine.toml").unwrap_err().to_string();
        assert!(
            error.starts_with("name map `mine.toml`: ") && error.contains(said),
            "{text}: {error}"
        );
    }
}
