//! `S01x`: bytes read as another type.

use super::{Trace, only};
use crate::codes;
use crate::generator::Dice;
use half::{bf16, f16};
use parity::check::soundness::{Finding, Severity};
use serde_json::json;

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
