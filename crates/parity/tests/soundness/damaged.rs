//! One damage after the other, done to traces that are sound otherwise.

use super::generator::Dice;
use super::{check, codes};
use half::{bf16, f16};
use parity::check::soundness::{Finding, Severity};
use serde_json::{Value, json};

/// A trace under construction: records of normally distributed values, in dataflow order, one pass after the other.
struct Trace {
    records: Vec<Value>,
}

const NAMES: [&str; 7] = [
    "embedding",
    "layer_0_q",
    "layer_0_attn_out",
    "layer_0_ffn_up",
    "layer_1_q",
    "layer_1_ffn_out",
    "logits",
];

impl Trace {
    /// `passes` passes of [`NAMES`], 16 values a record.
    fn new(passes: usize) -> Self {
        let mut dice = Dice::new(7);
        let mut records = Vec::new();
        for position in 0..passes {
            for name in NAMES {
                let values: Vec<f32> = (0..16).map(|_| (2.0 * dice.normal()) as f32).collect();
                records.push(json!({
                    "checkpoint": name, "team": "t", "token_idx": position, "dtype": "f32", "shape": "[1,64]",
                    "values": values.iter().map(|value| number(f64::from(*value))).collect::<Vec<_>>(),
                    "n_tokens": 1, "step": position,
                }));
            }
        }
        Self { records }
    }

    /// Changes the values of every record of a name.
    fn values(mut self, name: &str, mut change: impl FnMut(usize, Vec<f64>) -> Vec<f64>) -> Self {
        let records = self.records.iter_mut();
        let named = records.filter(|record| name == "*" || record["checkpoint"] == name);
        for (index, record) in named.enumerate() {
            let old = record["values"].as_array().expect("an array");
            let old = old.iter().map(|value| value.as_f64().expect("finite"));
            let new = change(index, old.collect());
            record["values"] = new.iter().map(|value| number(*value)).collect();
        }
        self
    }

    fn dtype(mut self, name: &str, dtype: &str) -> Self {
        for record in self
            .records
            .iter_mut()
            .filter(|record| record["checkpoint"] == name)
        {
            record["dtype"] = json!(dtype);
        }
        self
    }

    fn edit(mut self, edit: impl FnOnce(&mut Vec<Value>)) -> Self {
        edit(&mut self.records);
        self
    }

    fn check(&self) -> Vec<Finding> {
        check(&self.lines())
    }

    fn lines(&self) -> String {
        self.records
            .iter()
            .map(|record| format!("{record}\n"))
            .collect()
    }
}

/// The shortest text of an `f32`; strings for what JSON does not have.
fn number(value: f64) -> Value {
    let value = value as f32;
    if value.is_finite() {
        serde_json::from_str(&format!("{value:e}")).expect("a number")
    } else {
        json!(format!("{value:?}").replace("inf", "Infinity"))
    }
}

/// The finding of a code, which must be the only one that weighs so much.
#[track_caller]
fn only(findings: Vec<Finding>, code: &str, severity: Severity) -> Finding {
    assert_eq!(codes(&findings, Severity::Info), [code], "{findings:#?}");
    let finding = findings.into_iter().next().expect("one");
    assert_eq!(finding.severity, severity, "{finding:#?}");
    finding
}

#[test]
fn the_base_is_sound() {
    let findings = Trace::new(12).check();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn exact_heap_links() {
    // 0x0000555557a1_b2c0 and the like: what the thread cache leaves, in every record of every name.
    let trace = Trace::new(3).values("*", |index, mut values| {
        let link = 0x5555_57a1_b2c0_u64 + 0x130 * index as u64;
        values[0] = f32::from_bits(link as u32).into();
        values[1] = f32::from_bits((link >> 32) as u32).into();
        values
    });
    let finding = only(trace.check(), "S001", Severity::Error);
    assert_eq!(finding.records.count, 3 * NAMES.len() as u64);
    assert!(
        finding
            .cause
            .expect("a cause")
            .contains("the logger's own buffers")
    );

    // One tensor only, with the same link every time: a buffer that the engine gives back.
    let trace = Trace::new(6).values("layer_0_attn_out", |_, mut values| {
        values[0] = f32::from_bits(0xf7e1_cce0).into();
        values[1] = f32::from_bits(0x7fff).into();
        values
    });
    let finding = only(trace.check(), "S001", Severity::Error);
    assert_eq!(finding.records.count, 6);
    assert!(
        finding
            .cause
            .expect("a cause")
            .contains("freed when they were read")
    );
}

#[test]
fn text_in_place_of_numbers() {
    let text = br#"{"checkpoint":"logits","team":"t","token_idx":7,"dtype":"f32","s"#;
    let floats: Vec<f64> = text
        .chunks(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")).into())
        .collect();
    let trace = Trace::new(4).values(
        "logits",
        |index, values| if index < 2 { floats.clone() } else { values },
    );
    let finding = only(trace.check(), "S002", Severity::Error);
    assert!(
        finding.evidence.contains(r#"{\"checkpoint\":\"logits"#),
        "{}",
        finding.evidence
    );
}

#[test]
fn fill_patterns() {
    for bits in [
        0xCDCD_CDCD_u32,
        0xDEAD_BEEF,
        0xFEEE_FEEE,
        0xBEBE_BEBE,
        0xBAAD_F00D,
    ] {
        let trace = Trace::new(4).values("layer_0_q", |index, mut values| {
            if index == 2 {
                values[12..].fill(f32::from_bits(bits).into());
            }
            values
        });
        let finding = only(trace.check(), "S003", Severity::Error);
        assert!(
            finding.evidence.contains(&format!("0x{bits:08X}")),
            "{}",
            finding.evidence
        );
        assert_eq!(finding.records.first_lines, [16]);
    }
}

#[test]
fn zeros_among_data() {
    let zero_from = |from: usize| {
        Trace::new(6).values("layer_1_ffn_out", move |index, mut values| {
            if index == 3 {
                values[from..].fill(0.0);
            }
            values
        })
    };
    let finding = only(zero_from(0).check(), "S004", Severity::Warning);
    assert!(finding.title.contains("all zero"));
    let finding = only(zero_from(10).check(), "S004", Severity::Warning);
    assert!(
        finding.evidence.contains("the last 6 of 16 logged values"),
        "{}",
        finding.evidence
    );
    // A last element that happens to be zero is nothing.
    assert!(zero_from(15).check().is_empty());
}

#[test]
fn a_hook_that_ran_once() {
    let trace = |tokens: [i32; 5]| {
        let mut first = Vec::new();
        let mut trace = Trace::new(5).values("layer_1_q", |index, values| {
            if index == 0 {
                first.clone_from(&values);
            }
            first.clone()
        });
        for (position, id) in tokens.iter().enumerate().rev() {
            let record = json!({
                "checkpoint": "tokens", "team": "t", "token_idx": position, "dtype": "i32", "shape": "[1]", "values": [id],
                "n_tokens": 1, "step": position,
            });
            trace.records.insert(position * NAMES.len(), record);
        }
        trace
    };
    let finding = only(trace([5, 6, 7, 8, 9]).check(), "S005", Severity::Warning);
    assert_eq!(finding.records.count, 4);
    assert!(
        finding
            .evidence
            .contains("in 4 of these the trace says that the tokens differ"),
        "{}",
        finding.evidence
    );
    // The same token again: nothing follows.
    assert!(trace([5; 5]).check().is_empty());
}

#[test]
fn pointers_into_a_ring_of_two_buffers() {
    // All tensors of a pass live in two buffers in turn and are read when it is over.
    let mut trace = Trace::new(4);
    for pass in trace.records.chunks_mut(NAMES.len()) {
        for index in 0..NAMES.len() - 2 {
            pass[index]["values"] =
                pass[NAMES.len() - 2 + (index + NAMES.len()) % 2]["values"].clone();
        }
    }
    let finding = only(trace.check(), "S006", Severity::Error);
    assert!(finding.records.count >= 4 * 3, "{finding:#?}");
}

#[test]
fn a_token_stride_that_was_ignored() {
    let mut dice = Dice::new(1);
    let buffer: Vec<f64> = (0..64).map(|_| f64::from(dice.normal() as f32)).collect();
    let trace = Trace::new(8).values("layer_0_q", |index, _| buffer[2 * index..][..16].to_vec());
    let finding = only(trace.check(), "S007", Severity::Error);
    assert!(
        finding.evidence.contains("moved by 2 elements"),
        "{}",
        finding.evidence
    );
}

/// Bytes of normally distributed numbers of some type.
fn stored<const N: usize>(
    dice: &mut Dice,
    count: usize,
    store: impl Fn(f64) -> [u8; N],
) -> Vec<u8> {
    (0..count).flat_map(|_| store(dice.normal())).collect()
}

fn read<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .chunks_exact(N)
        .map(|chunk| read(chunk.try_into().expect("N bytes")))
        .collect()
}

#[test]
fn bytes_read_as_another_type() {
    let as_f32 = |bytes: &[u8]| read(bytes, |bytes| f32::from_le_bytes(bytes).into());
    let as_f16 = |bytes: &[u8]| read(bytes, |bytes| f16::from_le_bytes(bytes).to_f64());
    let as_bf16 = |bytes: &[u8]| read(bytes, |bytes| bf16::from_le_bytes(bytes).to_f64());
    let f32s = |x: f64| (x as f32).to_le_bytes();
    let f16s = |x: f64| f16::from_f64(x).to_le_bytes();
    let bf16s = |x: f64| bf16::from_f64(x).to_le_bytes();
    let f64s = |x: f64| x.to_le_bytes();
    let big = |x: f64| (x as f32).to_be_bytes();
    let mut dice = Dice::new(3);
    type Case<'c> = (&'c str, &'c str, &'c str, Box<dyn FnMut() -> Vec<f64> + 'c>);
    let dice = &mut dice;
    let dice = std::cell::RefCell::new(dice);
    let cases: [Case<'_>; 9] = [
        (
            "S011",
            "bf16 was read as f32",
            "f32",
            Box::new(|| as_f32(&stored(&mut dice.borrow_mut(), 32, bf16s))),
        ),
        (
            "S011",
            "f16 was read as f32",
            "f32",
            Box::new(|| as_f32(&stored(&mut dice.borrow_mut(), 32, f16s))),
        ),
        (
            "S011",
            "f64 was read as f32",
            "f32",
            Box::new(|| as_f32(&stored(&mut dice.borrow_mut(), 8, f64s))),
        ),
        (
            "S012",
            "the bytes were read in the other order",
            "f32",
            Box::new(|| as_f32(&stored(&mut dice.borrow_mut(), 16, big))),
        ),
        (
            "S011",
            "f32 was read as a 16-bit type",
            "f16",
            Box::new(|| as_f16(&stored(&mut dice.borrow_mut(), 8, f32s))),
        ),
        (
            "S011",
            "f32 was read as a 16-bit type",
            "bf16",
            Box::new(|| as_bf16(&stored(&mut dice.borrow_mut(), 8, f32s))),
        ),
        (
            "S011",
            "bf16 was read as f16",
            "f16",
            Box::new(|| as_f16(&stored(&mut dice.borrow_mut(), 16, bf16s))),
        ),
        (
            "S011",
            "f16 was read as bf16",
            "bf16",
            Box::new(|| as_bf16(&stored(&mut dice.borrow_mut(), 16, f16s))),
        ),
        (
            "S013",
            "integers were read as floats",
            "f32",
            Box::new(|| {
                (0..16)
                    .map(|_| f32::from_bits(1 + dice.borrow_mut().below(50_000) as u32).into())
                    .collect()
            }),
        ),
    ];
    for (code, title, dtype, mut make) in cases {
        let trace = Trace::new(12)
            .values("layer_0_q", |_, _| make())
            .dtype("layer_0_q", dtype);
        let findings = trace.check();
        let misread: Vec<&Finding> = findings
            .iter()
            .filter(|finding| finding.code.starts_with("S01"))
            .collect();
        assert_eq!(misread.len(), 1, "{title}: {findings:#?}");
        assert_eq!((misread[0].code, misread[0].title.as_str()), (code, title));
        // NaNs among random bits are said too; nothing else is.
        let others = codes(&findings, Severity::Info)
            .into_iter()
            .filter(|other| *other != code && *other != "S021");
        assert_eq!(others.count(), 0, "{title}: {findings:#?}");
    }
}

#[test]
fn integers_of_another_kind() {
    let tokens = |values: Vec<i64>| {
        let mut trace = Trace::new(2);
        trace.records.insert(0, json!({
            "checkpoint": "tokens", "team": "t", "token_idx": 0, "dtype": "i32", "shape": format!("[{}]", values.len()),
            "values": values, "n_tokens": values.len(), "step": 0,
        }));
        trace.check()
    };
    let ids: Vec<i64> = vec![
        9906, 11, 1917, 0, 2650, 527, 499, 30, 128_000, 40, 1097, 7060, 9901, 264, 1296, 13,
    ];
    assert!(tokens(ids.clone()).is_empty());
    let wide: Vec<i64> = ids
        .iter()
        .filter(|id| **id > 0)
        .flat_map(|id| [*id, 0])
        .collect();
    assert_eq!(
        only(tokens(wide), "S011", Severity::Warning).title,
        "64-bit integers were read as 32-bit ones"
    );
    let swapped: Vec<i64> = ids
        .iter()
        .map(|id| i64::from((*id as i32).swap_bytes()))
        .collect();
    assert_eq!(only(tokens(swapped), "S012", Severity::Error).code, "S012");
    let floats: Vec<i64> = (1..17)
        .map(|x| i64::from((x as f32 * 0.37).to_bits()))
        .collect();
    assert_eq!(
        only(tokens(floats), "S013", Severity::Error).title,
        "floats were read as integers"
    );
}

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
fn two_runs_in_one_file() {
    let mut trace = Trace::new(3);
    let again = trace.records.clone();
    trace.records.extend(again);
    let findings = trace.check();
    let twice = findings
        .iter()
        .find(|finding| finding.code == "S031")
        .expect("found");
    assert_eq!(twice.records.count, 21);
    assert!(
        twice.evidence.contains("begins again at line 22"),
        "{}",
        twice.evidence
    );
    assert!(codes(&findings, Severity::Error).is_empty());
}

#[test]
fn missing_positions_and_layers() {
    let trace = Trace::new(9).edit(|records| {
        records.retain(|record| {
            !(record["checkpoint"] == "layer_0_attn_out" && record["token_idx"] == 4)
        });
    });
    let finding = only(trace.check(), "S032", Severity::Warning);
    assert!(
        finding.evidence.contains("`layer_0_attn_out` lacks 4"),
        "{}",
        finding.evidence
    );

    let trace = Trace::new(9).edit(|records| {
        records.retain(|record| record["token_idx"] != 4 && record["token_idx"] != 5)
    });
    let finding = only(trace.check(), "S032", Severity::Info);
    assert!(finding.evidence.contains("4–5"), "{}", finding.evidence);

    // A model of 12 layers, one of which lacks a checkpoint.
    let trace = Trace::new(1).edit(|records| {
        let template = records[1].clone();
        records.clear();
        let mut dice = Dice::new(5);
        for layer in 0..12 {
            for stage in ["q", "k"] {
                if (layer, stage) != (7, "k") {
                    let mut record = template.clone();
                    record["checkpoint"] = json!(format!("layer_{layer}_{stage}"));
                    record["values"] = (0..16).map(|_| number(dice.normal())).collect();
                    records.push(record);
                }
            }
        }
    });
    let finding = only(trace.check(), "S033", Severity::Warning);
    assert!(
        finding.evidence.contains("layer 7 has no `layer_{i}_k`"),
        "{}",
        finding.evidence
    );

    let trace = Trace::new(3).edit(|records| {
        for record in records
            .iter_mut()
            .filter(|record| record["checkpoint"] == "layer_1_q")
        {
            record["checkpoint"] = json!("layer_5_q");
        }
        records.retain(|record| record["checkpoint"] != "layer_1_ffn_out");
    });
    let finding = only(trace.check(), "S033", Severity::Info);
    assert!(
        finding.evidence.contains("nothing of 1–4"),
        "{}",
        finding.evidence
    );
}

#[test]
fn out_of_order() {
    let trace = Trace::new(4).edit(|records| records.rotate_left(NAMES.len()));
    let finding = only(trace.check(), "S034", Severity::Warning);
    assert_eq!(finding.records.count, NAMES.len() as u64);
}

#[test]
fn mixed_up_files() {
    let trace = Trace::new(4).edit(|records| {
        for record in records.iter_mut().skip(20) {
            record["team"] = json!("somebody else");
        }
    });
    let finding = only(trace.check(), "S035", Severity::Warning);
    assert!(
        finding.evidence.contains("`somebody else`, `t`"),
        "{}",
        finding.evidence
    );
    assert_eq!(finding.records.first(), 21);

    let trace = Trace::new(4).edit(|records| {
        for record in records.iter_mut().skip(14) {
            record["shape"] = json!("[1,128]");
        }
    });
    let finding = only(trace.check(), "S035", Severity::Warning);
    assert!(
        finding
            .evidence
            .contains("`embedding` has 64 elements, then 128"),
        "{}",
        finding.evidence
    );
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
