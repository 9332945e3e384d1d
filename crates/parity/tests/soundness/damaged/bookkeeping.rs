//! `S03x`: bookkeeping.

use super::{NAMES, Trace, number, only};
use crate::codes;
use crate::generator::Dice;
use parity::check::soundness::Severity;
use serde_json::json;

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
