//! One damage after the other, done to traces that are sound otherwise.

mod bookkeeping;
mod memory;
mod misread;
mod values;

use super::generator::Dice;
use super::{check, codes};
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
