//! Comparisons that pass, or fail, for the wrong reason elsewhere.

use super::support::{Folder, compare_lines, compare_with, finding, noise, record, tokens};
use super::{WIDTH, check_codes, engine, names, place, plain};
use parity::Options;
use parity::judge::Criterion;
use serde_json::json;

#[test]
fn half_the_records() {
    let half: Vec<_> = plain(4)
        .into_iter()
        .enumerate()
        .filter(|(index, line)| line.0["checkpoint"] == "tokens" || index % 2 == 0)
        .map(|(_, line)| line)
        .collect();
    let report = compare_lines(&plain(4), &half);
    let all = 4 * names().len() as u64;
    let missing = report.coverage.missing_in_candidate.records;
    assert!(
        missing > all / 3 && report.coverage.compared == all - missing,
        "{missing} of {all}"
    );
    assert!(
        !report.coverage.missing_in_candidate.list.is_empty(),
        "and named"
    );
    // Nothing in common is never a pass.
    let other: Vec<_> = plain(4)
        .into_iter()
        .map(|line| {
            let name = format!("dump_{}", line.0["checkpoint"].as_str().unwrap());
            line.with("checkpoint", json!(name))
        })
        .collect();
    assert_eq!(compare_lines(&plain(4), &other).exit_code, 3);
}

#[test]
fn a_correlation_with_a_constant() {
    let constant = engine(3, |name, _, values| {
        if name == "logits" {
            vec![0.25; 24]
        } else {
            values
        }
    });
    let report = compare_lines(&plain(3), &constant);
    assert_eq!(report.verdict, "diverged");
    let first = report.first_divergence.unwrap();
    assert_eq!(first.checkpoint, "logits");
    assert!(first.pair.nmse.0 > 0.1);
    assert!(
        first.pair.cosine.unwrap().0 < 0.9,
        "no figure calls it alike"
    );
    // A trace whose tensor is one number is doubted by itself.
    let degenerate = engine(6, |name, _, values| {
        if name == "layer_0_output" {
            vec![0.25; WIDTH]
        } else {
            values
        }
    });
    assert!(!check_codes(&degenerate).is_empty());
}

#[test]
fn a_flat_line_near_a_slow_curve() {
    let trace = |value: &dyn Fn(i64) -> f32| {
        (0..10)
            .flat_map(|step| [tokens(step, &[1]), record("loss", step, &[value(step)])])
            .collect::<Vec<_>>()
    };
    // The reference falls by a twentieth; a tolerance of 0.08 passes any constant in between.
    let (reference, flat) = (trace(&|step| 1.0 - 0.005 * step as f32), trace(&|_| 0.98));
    assert_eq!(compare_lines(&reference, &flat).verdict, "diverged");
    let folder = Folder::new();
    let loose = Options {
        criterion: Criterion::MaxNmse(0.08 * 0.08),
        ..Options::default()
    };
    let report = compare_with(
        &folder.write("r.jsonl", &reference),
        &folder.write("c.jsonl", &flat),
        &loose,
    );
    assert_eq!(report.verdict, "rounding", "whoever asks for it gets it");
    assert_eq!(report.limit.kind, "threshold", "and reads it in the report");
}

#[test]
fn one_unit_in_the_last_place_of_bf16() {
    let run = |name: &str, weights: &str| {
        (name.to_owned(), json!({"format_version": 1, "team": "t", "argv": [], "host": "h", "pid": 1, "started_at": "2025-10-07T19:47:11Z",
            "model": {"path": "m.gguf", "architecture": "llama", "layers": 2, "weights": weights}}).to_string())
    };
    let folder = Folder::new();
    for (name, text) in [run("r.run.json", "bf16"), run("c.run.json", "bf16")] {
        folder.write_bytes(&name, text.as_bytes());
    }
    let rounded = |up: bool| {
        engine(3, move |_, _, values| {
            let nearest = |value: f32| half::bf16::from_f32(value);
            // Every third element a unit off: what two orders of summation give.
            let off = |(index, value): (usize, f32)| {
                let bits = nearest(value).to_bits();
                half::bf16::from_bits(if up && index % 3 == 0 { bits + 1 } else { bits }).to_f32()
            };
            values.into_iter().enumerate().map(off).collect()
        })
    };
    let report = compare_with(
        &folder.write("r.jsonl", &rounded(false)),
        &folder.write("c.jsonl", &rounded(true)),
        &Options::default(),
    );
    assert!(
        ["rounding", "drift"].contains(&report.verdict.as_str()),
        "{}: {:?}",
        report.verdict,
        report.reasons
    );
    assert!(
        report.worst[0].relative_rmse.0 > 1e-3,
        "a limit of 1e-5 would have failed"
    );
}

#[test]
fn a_run_that_the_capture_changed() {
    // A second run on the same input that is fed with what the first one left behind.
    let second = engine(3, |name, position, values| {
        let stale = name != "embedding" && position == 0;
        if stale {
            values.iter().map(|value| value + 0.5).collect()
        } else {
            values
        }
    });
    let report = compare_lines(&plain(3), &second);
    let first = report.first_divergence.unwrap();
    assert_eq!(
        (first.checkpoint.as_str(), first.token_idx),
        ("layer_0_attn_norm", 0)
    );
    assert_eq!(report.tokens.status, "same", "and not because of its input");
}

#[test]
fn another_checkpoint_of_the_model() {
    let folder = Folder::new();
    for (name, sha) in [("r.run.json", "11"), ("c.run.json", "22")] {
        let run = json!({"format_version": 1, "team": "t", "argv": [], "host": "h", "pid": 1, "started_at": "2025-10-07T19:47:11Z",
            "model": {"path": "m.gguf", "sha256": sha.repeat(32), "architecture": "llama", "layers": 2, "weights": "f32"}});
        folder.write_bytes(name, run.to_string().as_bytes());
    }
    // Norm weights 1.1 to 9.6 times larger, by channel.
    let other = engine(2, |name, _, values| {
        if name == "embedding" {
            return values;
        }
        values
            .iter()
            .enumerate()
            .map(|(channel, value)| value * (1.1 + 8.5 * channel as f32 / 23.0))
            .collect()
    });
    let report = compare_with(
        &folder.write("r.jsonl", &plain(2)),
        &folder.write("c.jsonl", &other),
        &Options::default(),
    );
    assert_eq!(
        finding(&report, "C003").severity,
        "warning",
        "other bytes are named before any formula is looked for"
    );
    assert_eq!(
        report.first_divergence.unwrap().checkpoint,
        "layer_0_attn_norm"
    );
}

#[test]
fn more_is_wrong_than_is_nan() {
    let broken = engine(2, |name, _, mut values| {
        if name == "layer_0_attn_out" {
            // Four elements read from elsewhere, one of them NaN.
            values[2..6].iter_mut().for_each(|value| *value += 1.0);
            values[3] = f32::NAN;
        } else if place(name) > place("layer_0_attn_out") {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        values
    });
    let report = compare_lines(&plain(2), &broken);
    let first = report.first_divergence.unwrap();
    assert_eq!(first.checkpoint, "layer_0_attn_out");
    assert_eq!(first.pair.mismatched_non_finite, 1);
    let figures = first
        .pair
        .figures
        .expect("the finite elements are measured all the same");
    // Three of fifteen finite elements are off by one.
    assert!(
        (figures.mean_abs_diff.0 - 3.0 / 15.0).abs() < 1e-6,
        "{figures:?}"
    );
    let wrong: Vec<u64> = first
        .pair
        .worst_elements
        .iter()
        .map(|element| element.at[0])
        .collect();
    assert!(
        [2, 4, 5].iter().all(|index| wrong.contains(index)),
        "{wrong:?}"
    );
}

#[test]
fn the_first_cause_and_not_only_the_last_effect() {
    // Everything from one projection on is off, the logits by 1.67.
    let broken = engine(2, |name, _, values| {
        let (from, index) = (place("layer_1_attn_out"), place(name));
        if index >= from {
            noise(31 + index as u64, values.len())
        } else {
            values
        }
    });
    let report = compare_lines(&plain(2), &broken);
    assert_eq!(report.exit_code, 1);
    assert_eq!(
        report.first_divergence.as_ref().unwrap().checkpoint,
        "layer_1_attn_out"
    );
    assert!(
        report.reasons[0].contains("layer_1_attn_out"),
        "{:?}",
        report.reasons
    );
}
