//! `S00x`: memory that was not the tensor's.

use super::{NAMES, Trace, only};
use crate::generator::Dice;
use parity::check::soundness::Severity;
use serde_json::json;

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
