//! From differences to verdicts.

mod support;

use parity::Options;
use parity::judge::Criterion;
use serde_json::json;
use support::{Folder, Line, codes, compare_lines, compare_with, finding, noise, record, tokens};

/// A run file of a model with these weights and 32-bit cache.
fn run(weights: &str, sha: &str) -> serde_json::Value {
    json!({"format_version": 1, "team": "test",
           "model": {"sha256": sha, "architecture": "llama", "layers": 2, "weights": weights},
           "settings": {"kv_type": "f32", "flash_attn": "off"}})
}

/// One decoder layer and a half, each stage with its own numbers; `error(stage)` is relative and uniform.
fn layers(error: impl Fn(&str) -> f32) -> Vec<Line> {
    let stages = [
        "embedding",
        "layer_0_attn_norm",
        "layer_0_q",
        "layer_0_k",
        "layer_0_q_rope",
        "layer_0_attn_scores",
        "logits",
    ];
    stages
        .iter()
        .enumerate()
        .map(|(seed, stage)| {
            let values: Vec<f32> = noise(seed as u64 + 1, 12)
                .iter()
                .zip(noise(99, 12))
                .map(|(x, e)| x + x.abs() * e.signum() * error(stage))
                .collect();
            record(stage, 4, &values).step(1)
        })
        .collect()
}

fn compare_runs(
    reference: &[Line],
    candidate: &[Line],
    runs: [serde_json::Value; 2],
    options: &Options,
) -> parity::report::v1::Report {
    let folder = Folder::new();
    for (name, run) in ["ref", "cand"].iter().zip(&runs) {
        folder.write_bytes(&format!("{name}.run.json"), run.to_string().as_bytes());
    }
    compare_with(
        &folder.write("ref.jsonl", reference),
        &folder.write("cand.jsonl", candidate),
        options,
    )
}

#[test]
fn limits_follow_the_weights() {
    // A uniform relative error: its relative RMSE is exactly that.
    for (weights, rounding, divergence) in
        [("F32", 1e-5, 1e-3), ("F16", 1e-3, 0.1), ("Q4_1", 0.03, 0.7)]
    {
        for (error, verdict, exit_code) in [
            (0.0, "match", 0),
            (rounding, "rounding", 0),
            (divergence, "diverged", 1),
        ] {
            let runs = [run(weights, "aa"), run(weights, "aa")];
            let report = compare_runs(
                &layers(|_| 0.0),
                &layers(|_| error),
                runs,
                &Options::default(),
            );
            assert_eq!(
                (report.verdict.as_str(), report.exit_code),
                (verdict, exit_code),
                "{weights} {error}"
            );
        }
    }
}

#[test]
fn the_first_divergence_in_file_order_with_its_inputs() {
    let reference = layers(|_| 0.0);
    let candidate = layers(|stage| match stage {
        "layer_0_q" | "layer_0_k" => 1e-6,
        "layer_0_q_rope" => 0.5,
        "layer_0_attn_scores" | "logits" => 0.9,
        _ => 0.0,
    });
    let reversed: Vec<Line> = candidate.iter().rev().cloned().collect();
    for candidate in [&candidate, &reversed] {
        let runs = [run("F32", "aa"), run("F32", "aa")];
        let report = compare_runs(&reference, candidate, runs, &Options::default());
        assert_eq!(report.verdict, "diverged");
        let first = report.first_divergence.as_ref().unwrap();
        assert_eq!(
            (first.checkpoint.as_str(), first.token_idx, first.step),
            ("layer_0_q_rope", 4, Some(1))
        );
        assert_eq!(first.inputs.len(), 1);
        assert_eq!(first.inputs[0].checkpoint, "layer_0_q");
        assert!((first.inputs[0].relative_rmse.0 / 1e-6 - 1.0).abs() < 0.1);
        assert!((first.pair.relative_rmse.0 - 0.5).abs() < 1e-3);
        let worst: Vec<&str> = report
            .worst
            .iter()
            .map(|pair| pair.checkpoint.as_str())
            .collect();
        assert!(
            ["layer_0_attn_scores", "logits"].contains(&worst[0]),
            "{worst:?}"
        );
        assert_eq!(worst[2], "layer_0_q_rope");
        assert_eq!(report.coverage.above_limit, 3);
        assert!(
            report.reasons[1].starts_with("its input layer_0_q agrees to "),
            "{:?}",
            report.reasons
        );
    }
}

#[test]
fn inputs_that_passed_long_before_are_found() {
    let at = |position: i64, q: f32, rope: f32| {
        [
            record("layer_0_q", position, &[q]),
            record("layer_0_q_rope", position, &[rope]),
        ]
    };
    let reference = [at(0, 1.0, 1.0), at(1, 1.0, 1.0)].concat();
    let [q0, rope0] = at(0, 1.0, 5.0);
    let [q1, rope1] = at(1, 1.0, 1.0);
    // Checkpoint by checkpoint instead of position by position.
    let report = compare_lines(&reference, &[q0, q1, rope1, rope0]);
    let inputs = report.first_divergence.unwrap().inputs;
    assert_eq!(inputs.len(), 1);
    assert_eq!(
        (inputs[0].checkpoint.as_str(), inputs[0].nmse.0),
        ("layer_0_q", 0.0)
    );
}

#[test]
fn inputs_named_by_the_trace_win_over_the_canonical_ones() {
    let reference = [
        record("mine", 0, &[1.0]),
        record("layer_0_q", 0, &[1.0]),
        record("layer_0_q_rope", 0, &[1.0]).with("src", json!(["mine", "not_captured"])),
    ];
    let candidate = [
        record("mine", 0, &[1.0]),
        record("layer_0_q", 0, &[1.0]),
        record("layer_0_q_rope", 0, &[2.0]),
    ];
    let report = compare_lines(&reference, &candidate);
    let inputs = &report.first_divergence.unwrap().inputs;
    assert_eq!(inputs.len(), 1);
    assert_eq!(
        (inputs[0].checkpoint.as_str(), inputs[0].nmse.0),
        ("mine", 0.0)
    );
}

#[test]
fn thresholds_and_bands() {
    let reference = [record("a", 0, &[100.0, 100.0])];
    // NMSE 1e-4, largest absolute difference 1.
    let candidate = [record("a", 0, &[101.0, 101.0])];
    let folder = Folder::new();
    let (reference, candidate) = (
        folder.write("r.jsonl", &reference),
        folder.write("c.jsonl", &candidate),
    );
    let verdict = |criterion| {
        let options = Options {
            criterion,
            ..Options::default()
        };
        compare_with(&reference, &candidate, &options).verdict
    };
    assert_eq!(verdict(Criterion::MaxNmse(1.01e-4)), "rounding");
    assert_eq!(verdict(Criterion::MaxNmse(0.99e-4)), "diverged");
    assert_eq!(verdict(Criterion::Bands), "diverged");
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!((report.bands.fail, report.bands.warning), (1, 0));
}

#[test]
fn sketches_see_what_the_first_values_do_not() {
    // As with rotary embedding, the first values (position 0) agree and the rest does not.
    let a = noise(1, 600);
    let mut b = a.clone();
    b[100..].rotate_left(1);
    let line = |values: &[f32]| {
        record("layer_0_q_rope", 0, &values[..10])
            .shape(&[6, 100])
            .n_tokens(6)
    };
    let exact: f64 = {
        let square = |x: f64| x * x;
        let difference: f64 = a
            .iter()
            .zip(&b)
            .map(|(x, y)| square(f64::from(*x) - f64::from(*y)))
            .sum();
        difference / a.iter().map(|x| square(f64::from(*x))).sum::<f64>()
    };
    let blind = compare_lines(&[line(&a)], &[line(&b)]);
    assert_eq!(blind.verdict, "match");
    assert!(
        blind.reasons[0].contains("as far as the logged values tell"),
        "{:?}",
        blind.reasons
    );
    let seeing = compare_lines(&[line(&a).whole(&a)], &[line(&b).whole(&b)]);
    assert_eq!(seeing.verdict, "diverged");
    let pair = &seeing.first_divergence.as_ref().unwrap().pair;
    assert!(
        (pair.nmse.0 / exact - 1.0).abs() < 0.71,
        "{} against {exact}",
        pair.nmse.0
    );
    assert_eq!(seeing.coverage.rests_on.sketches, 1);
}

#[test]
fn statistics_alone_prove_a_difference() {
    // Twice the tensor: ‖b‖ = 2‖a‖, so NMSE ≥ 1 whatever the elements are.
    let a = noise(3, 200);
    let b: Vec<f32> = a.iter().map(|x| 2.0 * x).collect();
    let line = |values: &[f32]| {
        let mut line = record("a", 0, &[]).shape(&[200]).whole(values);
        line.0.as_object_mut().unwrap().remove("sketch");
        line
    };
    let report = compare_lines(&[line(&a)], &[line(&b)]);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.rests_on.statistics),
        ("diverged", 1)
    );
    assert!((report.first_divergence.unwrap().pair.nmse.0 - 1.0).abs() < 1e-9);
    assert_eq!(compare_lines(&[line(&a)], &[line(&a)]).verdict, "match");
}

#[test]
fn masked_scores_are_not_compared() {
    let scores = |hidden: f32| {
        // Two tokens, one head, two keys: token 0 does not see key 1.
        record("layer_0_attn_scores", 0, &[1.0, hidden, 2.0, 3.0])
            .shape(&[2, 1, 2])
            .n_tokens(2)
    };
    assert_eq!(
        compare_lines(&[scores(5.0)], &[scores(-7.0)]).verdict,
        "match"
    );
    let probabilities =
        |hidden: f32| Line(scores(hidden).0).with("checkpoint", json!("layer_0_attn_probs"));
    assert_eq!(
        compare_lines(&[probabilities(0.0)], &[probabilities(0.5)]).verdict,
        "diverged"
    );
}

#[test]
fn non_finite_values_on_one_side_diverge() {
    for bad in [f32::NAN, f32::INFINITY] {
        let report = compare_lines(
            &[record("a", 0, &[1.0, 2.0])],
            &[record("a", 0, &[1.0, bad])],
        );
        assert_eq!(report.verdict, "diverged");
        assert!(
            report.reasons[1].contains("1 of its elements are NaN or infinite on one side only")
        );
        assert_eq!(report.bands.fail, 1);
        assert_eq!(
            compare_lines(
                &[record("a", 0, &[1.0, bad])],
                &[record("a", 0, &[1.0, bad])]
            )
            .verdict,
            "match"
        );
    }
}

#[test]
fn different_tokens_are_not_comparable_but_the_part_before_is_compared() {
    let prefill = |ids: &[i32], rows: [f32; 3]| {
        let values: Vec<f32> = rows.iter().flat_map(|x| [*x, 1.0]).collect();
        vec![
            tokens(0, ids),
            record("embedding", 0, &values).shape(&[3, 2]).n_tokens(3),
            record("embedding", 3, &[9.0, rows[2]]).n_tokens(1),
        ]
    };
    let reference = prefill(&[11, 12, 13], [1.0, 2.0, 3.0]);
    let candidate = prefill(&[11, 12, 99], [1.0, 2.0, -3.0]);
    let report = compare_lines(&reference, &candidate);
    assert_eq!(
        (report.verdict.as_str(), report.exit_code),
        ("not comparable", 3)
    );
    assert!(
        report.reasons[0]
            .contains("the token at position 2 is 13 in the reference and 99 in the candidate"),
        "{:?}",
        report.reasons
    );
    assert_eq!(
        (
            report.coverage.compared,
            report.coverage.identical,
            report.coverage.past_inputs
        ),
        (1, 1, 1)
    );
    assert_eq!(
        (report.tokens.status.as_str(), report.tokens.equal_positions),
        ("different", 2)
    );
    // The tokens record may come last.
    let late: Vec<Line> = candidate.iter().rev().cloned().collect();
    assert_eq!(compare_lines(&reference, &late).coverage.identical, 1);
    // A difference in the comparable part is shown, but does not change the verdict.
    let candidate = prefill(&[11, 12, 99], [1.0, 5.0, -3.0]);
    let report = compare_lines(&reference, &candidate);
    assert_eq!(report.verdict, "not comparable");
    assert!(report.reasons[1].starts_with("in the part that is comparable, embedding"));
}

#[test]
fn tokens_of_the_run_files_stand_in_for_missing_records() {
    let with = |ids: &[i64]| json!({"tokens": ids});
    let lines = [record("a", 0, &[1.0])];
    let report = compare_runs(
        &lines,
        &lines,
        [with(&[5, 6]), with(&[5, 6, 7])],
        &Options::default(),
    );
    assert_eq!(
        (
            report.verdict.as_str(),
            report.tokens.status.as_str(),
            report.tokens.equal_positions
        ),
        ("match", "same", 2)
    );
    let report = compare_runs(
        &lines,
        &lines,
        [with(&[5, 6]), with(&[4, 6])],
        &Options::default(),
    );
    assert_eq!((report.exit_code, report.coverage.past_inputs), (3, 1));
    let report = compare_lines(&lines, &lines);
    assert_eq!(report.tokens.status, "unknown");
    assert!(codes(&report).contains(&"C006"));
}

#[test]
fn a_perturbed_run_is_told() {
    let lines = [record("a", 0, &[1.0])];
    let mut perturbed = run("F32", "aa");
    perturbed["settings"] = json!({"capture": "perturbed", "perturbed_by": "1.2e-3"});
    let compare = |a, b| compare_runs(&lines, &lines, [a, b], &Options::default());
    let report = compare(perturbed, run("F32", "aa"));
    let told = finding(&report, "T011");
    assert_eq!(
        (told.severity.as_str(), told.side.as_str()),
        ("warning", "reference")
    );
    assert!(told.examples[0].contains("1.2e-3"), "{told:?}");
    let mut exact = run("F32", "aa");
    exact["settings"] = json!({"capture": "exact"});
    assert!(!codes(&compare(exact, run("F32", "aa"))).contains(&"T011"));
}

#[test]
fn products_in_tf32_are_noise_of_16_bits() {
    let lines = layers(|_| 0.0);
    // The noise of F16 weights, which F32 weights do not explain.
    let candidate = layers(|_| 1e-3);
    for (products, verdict) in [("f32", "diverged"), ("tf32", "rounding")] {
        let mut reference = run("F32", "aa");
        reference["settings"] = json!({"products": products});
        let runs = [reference, run("F32", "aa")];
        let report = compare_runs(&lines, &candidate, runs, &Options::default());
        assert_eq!(report.verdict, verdict, "{products}");
    }
}

#[test]
fn other_models() {
    let lines = [record("a", 0, &[1.0])];
    let compare = |a, b| compare_runs(&lines, &lines, [a, b], &Options::default());
    let report = compare(run("F32", "aa"), run("F32", "aa"));
    assert_eq!(
        (report.verdict.as_str(), codes(&report)),
        ("match", vec!["C006"])
    );
    let report = compare(run("F32", "aa"), run("F32", "bb"));
    assert_eq!(
        (
            report.verdict.as_str(),
            finding(&report, "C003").severity.as_str()
        ),
        ("match", "warning")
    );
    let report = compare(run("F32", "aa"), run("Q4_1", "bb"));
    assert_eq!(
        (report.verdict.as_str(), report.limit.weights.as_deref()),
        ("match", Some("4-bit"))
    );
    assert!(codes(&report).contains(&"C004"));
    let mut other = run("F32", "bb");
    other["model"]["architecture"] = json!("qwen2");
    let report = compare(run("F32", "aa"), other);
    assert_eq!(report.exit_code, 3);
    assert!(report.reasons[0].contains("`llama` model, the candidate a `qwen2` model"));
    let mut other = run("F32", "bb");
    other["model"]["layers"] = json!(3);
    assert_eq!(compare(run("F32", "aa"), other).exit_code, 3);
}

#[test]
fn unproven_positions_that_disagree_are_not_comparable() {
    let from = |first: i64, scale: f32| -> Vec<Line> {
        (first..10)
            .map(|position| record("logits", position, &[scale * position as f32, 1.0]))
            .collect()
    };
    let report = compare_lines(&from(7, 1.0), &from(0, 2.0));
    assert_eq!(report.exit_code, 3);
    assert!(codes(&report).contains(&"C007"));
    // Numbers that agree prove the positions.
    assert_eq!(compare_lines(&from(7, 1.0), &from(0, 1.0)).verdict, "match");
    // So does the user.
    let folder = Folder::new();
    let options = Options {
        token_offset: Some(0),
        ..Options::default()
    };
    let report = compare_with(
        &folder.write("r.jsonl", &from(7, 1.0)),
        &folder.write("c.jsonl", &from(0, 2.0)),
        &options,
    );
    assert_eq!(report.verdict, "diverged");
}

#[test]
fn the_report_reads_back() {
    let report = compare_lines(
        &[record("a", 0, &[1.0, f32::NAN])],
        &[record("a", 0, &[1.0, 2.0])],
    );
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.contains(r#""nmse":"Infinity""#) && text.contains(r#""schema_version":1"#));
    let back: parity::report::v1::Report = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}
