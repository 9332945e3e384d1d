//! `S02x` and what text and statistics do to values.

use super::{Trace, only};
use parity::check::soundness::Severity;
use serde_json::{Value, json};

#[test]
fn not_finite() {
    let trace = Trace::new(4).values("layer_0_ffn_up", |index, mut values| {
        if index == 2 {
            values[5] = f64::NAN;
            values[6] = f64::INFINITY;
        }
        values
    });
    let finding = only(trace.check(), "S021", Severity::Warning);
    assert!(
        finding
            .evidence
            .starts_with("1 NaN and 1 infinite of the logged values in 1 record"),
        "{}",
        finding.evidence
    );
    assert!(
        finding
            .evidence
            .contains("at position 2 (line 18, element 5)"),
        "{}",
        finding.evidence
    );

    // Over all elements, in whole rows.
    let trace = Trace::new(1).edit(|records| {
        records.truncate(1);
        records[0]["n_tokens"] = json!(4);
        records[0]["shape"] = json!("[4,64]");
        records[0]["stats"] =
            json!({"n": 256, "nan": 128, "inf": 0, "zero": 0, "min": -9.0, "max": 9.0, "mean": 0.0, "rms": 2.0});
    });
    let finding = only(trace.check(), "S021", Severity::Warning);
    assert!(
        finding
            .evidence
            .contains("128 NaN and 0 infinite of all elements"),
        "{}",
        finding.evidence
    );
    assert!(
        finding.evidence.contains("whole rows"),
        "{}",
        finding.evidence
    );

    let trace = Trace::new(2).values("logits", |_, mut values| {
        values[3] = f64::NEG_INFINITY;
        values
    });
    assert!(
        only(trace.check(), "S021", Severity::Info)
            .cause
            .expect("a cause")
            .contains("sampler")
    );
}

#[test]
fn constant_tensors() {
    let trace = Trace::new(3).edit(|records| {
        for record in records.iter_mut().filter(|record| record["checkpoint"] == "layer_0_attn_out") {
            record["values"] = json!(vec![0.25; 16]);
            record["stats"] =
                json!({"n": 64, "nan": 0, "inf": 0, "zero": 0, "min": 0.25, "max": 0.25, "mean": 0.25, "rms": 0.25});
        }
    });
    assert_eq!(only(trace.check(), "S022", Severity::Info).records.count, 3);
}

#[test]
fn few_digits() {
    let rounded = |round: fn(f64) -> String| {
        let trace = Trace::new(8).edit(|records| {
            for record in records {
                let values = record["values"].as_array().expect("an array");
                record["values"] = values
                    .iter()
                    .map(|value| {
                        serde_json::from_str::<Value>(&round(value.as_f64().expect("finite")))
                            .expect("a number")
                    })
                    .collect();
            }
        });
        only(trace.check(), "S036", Severity::Warning)
    };
    let finding = rounded(|value| format!("{value:.6}"));
    // Half a unit of the sixth decimal; a thousand times that for 0.1 %; 2^24 times that for an f32's own rounding.
    for expected in ["6 decimals", "below 5e-7", "below 5e-4", "below 8.4"] {
        assert!(finding.evidence.contains(expected), "{}", finding.evidence);
    }
    assert!(
        rounded(|value| format!("{value:.4}"))
            .evidence
            .contains("4 decimals: below 5e-5")
    );
    // What `%g` prints.
    assert!(
        rounded(|value| format!("{value:.5e}"))
            .evidence
            .contains("6 significant digits")
    );
}

#[test]
fn contradictions() {
    let stats = |min: f64, max: f64, mean: f64, rms: f64| json!({"n": 64, "nan": 0, "inf": 0, "zero": 0, "min": min, "max": max, "mean": mean, "rms": rms});
    let with = |field: &str, value: Value| {
        Trace::new(2)
            .edit(|records| records[8][field] = value)
            .check()
    };
    for (field, value, said) in [
        ("shape", json!("[1,8]"), "16 values"),
        ("n_tokens", json!(3), "3 tokens"),
        (
            "stats",
            stats(-0.5, 0.5, 0.0, 0.3),
            "outside of the statistics",
        ),
        ("stats", stats(9.0, -9.0, 0.0, 1.0), "least element"),
        ("stats", stats(-9.0, 9.0, 11.0, 12.0), "mean"),
        ("stats", stats(-9.0, 9.0, 3.0, 1.0), "root mean square"),
    ] {
        let findings = with(field, value);
        let finding = findings
            .iter()
            .find(|finding| finding.code == "S037")
            .unwrap_or_else(|| panic!("{said}: {findings:#?}"));
        assert!(
            finding.evidence.contains(said),
            "{said}: {}",
            finding.evidence
        );
        assert!(finding.evidence.contains("line 9"), "{}", finding.evidence);
    }
    assert!(with("stats", stats(-9.0, 9.0, 0.1, 2.0)).is_empty());
}

#[test]
fn fewer_values_than_the_others() {
    let trace = Trace::new(6).values("*", |index, mut values| {
        if index == 17 {
            values.truncate(9);
        }
        values
    });
    assert_eq!(
        only(trace.check(), "S038", Severity::Warning)
            .records
            .first_lines,
        [18]
    );
}
