//! Payload bytes to numbers.

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use orch_log::format::Dtype;
use std::sync::LazyLock;

/// A storage type whose payload cannot be decoded here.
///
/// Loggers decode quantised blocks before they write a payload, so that this means a foreign trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable(pub Dtype);

/// Appends the numbers that `bytes` hold to `out`; bytes after the last whole element are ignored.
///
/// Every float type widens exactly. Integers are exact up to 2⁵³ in magnitude; what lies beyond is
/// rounded to the nearest `f64`, which token ids and indices never reach.
///
/// # Errors
///
/// [`Undecodable`] for block-quantised and unknown types.
pub fn decode(dtype: Dtype, bytes: &[u8], out: &mut Vec<f64>) -> Result<(), Undecodable> {
    match dtype {
        Dtype::F64 => extend(bytes, out, f64::from_le_bytes),
        Dtype::F32 => extend(bytes, out, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => extend(bytes, out, |b| f64::from(f16::from_le_bytes(b))),
        Dtype::Bf16 => extend(bytes, out, |b| f64::from(bf16::from_le_bytes(b))),
        Dtype::F8E4m3 => extend(bytes, out, |[b]| f8_e4m3(b)),
        // E5M2 is the upper byte of a binary16.
        Dtype::F8E5m2 => extend(bytes, out, |[b]| {
            f64::from(f16::from_bits(u16::from(b) << 8))
        }),
        Dtype::I8 => extend(bytes, out, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::I16 => extend(bytes, out, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::I32 => extend(bytes, out, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::I64 => extend(bytes, out, |b| i64::from_le_bytes(b) as f64),
        Dtype::U8 | Dtype::Bool => extend(bytes, out, |[b]| f64::from(b)),
        Dtype::U16 => extend(bytes, out, |b| f64::from(u16::from_le_bytes(b))),
        Dtype::U32 => extend(bytes, out, |b| f64::from(u32::from_le_bytes(b))),
        Dtype::U64 => extend(bytes, out, |b| u64::from_le_bytes(b) as f64),
        Dtype::Ggml(_) => return Err(Undecodable(dtype)),
    }
    Ok(())
}

/// As [`decode`] for the types of which every number is an `f32`; false, with nothing appended, for all others.
pub fn decode_f32(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) -> bool {
    match dtype {
        Dtype::F32 => extend(bytes, out, f32::from_le_bytes),
        Dtype::F16 => {
            let mut bits = Vec::with_capacity(bytes.len() / 2);
            extend(bytes, &mut bits, u16::from_le_bytes);
            let start = out.len();
            out.resize(start + bits.len(), 0.0);
            // Eight at a time, where the processor can.
            bits.reinterpret_cast::<f16>()
                .convert_to_f32_slice(&mut out[start..]);
        }
        Dtype::Bf16 => extend(bytes, out, |b| {
            f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
        }),
        Dtype::F8E4m3 | Dtype::F8E5m2 => {
            let table = if dtype == Dtype::F8E4m3 {
                &F8_E4M3
            } else {
                &F8_E5M2
            };
            extend(bytes, out, |[b]| table[usize::from(b)]);
        }
        Dtype::I8 => extend(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
        Dtype::I16 => extend(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
        Dtype::U8 | Dtype::Bool => extend(bytes, out, |[b]| f32::from(b)),
        Dtype::U16 => extend(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
        _ => return false,
    }
    true
}

static F8_E4M3: LazyLock<[f32; 256]> = LazyLock::new(|| all_bytes(Dtype::F8E4m3));
static F8_E5M2: LazyLock<[f32; 256]> = LazyLock::new(|| all_bytes(Dtype::F8E5m2));

fn all_bytes(dtype: Dtype) -> [f32; 256] {
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let mut numbers = Vec::with_capacity(256);
    let decoded = decode(dtype, &bytes, &mut numbers);
    debug_assert!(decoded.is_ok(), "eight-bit floats are known");
    std::array::from_fn(|byte| numbers[byte] as f32)
}

fn extend<const N: usize, T>(bytes: &[u8], out: &mut Vec<T>, number: impl Fn([u8; N]) -> T) {
    out.extend(bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)));
}

/// OCP 8-bit float E4M3 (`float8_e4m3fn`): bias 7, no infinity, `S.1111.111` is NaN.
///
/// # Source
///
/// OCP 8-bit Floating Point Specification (OFP8) 1.0, table 1.
fn f8_e4m3(byte: u8) -> f64 {
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((byte >> 3) & 0x0f);
    let mantissa = f64::from(byte & 0x07);
    match (exponent, byte & 0x07) {
        (0x0f, 0x07) => f64::NAN,
        (0, _) => sign * mantissa * 2_f64.powi(-9),
        _ => sign * (8.0 + mantissa) * 2_f64.powi(exponent - 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(dtype: Dtype, bytes: &[u8]) -> f64 {
        let mut out = Vec::new();
        decode(dtype, bytes, &mut out).unwrap();
        assert_eq!(out.len(), 1);
        out[0]
    }

    #[test]
    fn known_bit_patterns() {
        // Values from the formats' own tables: IEEE 754 and OFP8.
        assert_eq!(one(Dtype::F64, &1.5e300_f64.to_le_bytes()), 1.5e300);
        assert_eq!(one(Dtype::F32, &[0, 0, 0x80, 0x3f]), 1.0);
        assert_eq!(one(Dtype::F16, &[0x01, 0x00]), 2_f64.powi(-24));
        assert_eq!(one(Dtype::F16, &[0xff, 0x7b]), 65504.0);
        assert_eq!(one(Dtype::Bf16, &[0x49, 0x40]), 3.140625);
        assert_eq!(one(Dtype::F8E4m3, &[0x7e]), 448.0);
        assert_eq!(one(Dtype::F8E4m3, &[0x01]), 2_f64.powi(-9));
        assert_eq!(one(Dtype::F8E4m3, &[0x38]), 1.0);
        assert_eq!(one(Dtype::F8E4m3, &[0xb8]), -1.0);
        assert!(one(Dtype::F8E4m3, &[0xff]).is_nan());
        assert_eq!(one(Dtype::F8E5m2, &[0x7b]), 57344.0);
        assert_eq!(one(Dtype::F8E5m2, &[0xfc]), f64::NEG_INFINITY);
        assert_eq!(one(Dtype::F8E5m2, &[0x01]), 2_f64.powi(-16));
        assert_eq!(one(Dtype::I8, &[0xff]), -1.0);
        assert_eq!(one(Dtype::I16, &[0x00, 0x80]), -32768.0);
        assert_eq!(one(Dtype::I64, &(-5_i64).to_le_bytes()), -5.0);
        assert_eq!(one(Dtype::U32, &[0xff; 4]), 4_294_967_295.0);
    }

    #[test]
    fn as_f32_the_same_numbers() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for dtype in [
            Dtype::F32,
            Dtype::F16,
            Dtype::Bf16,
            Dtype::F8E4m3,
            Dtype::F8E5m2,
            Dtype::I8,
            Dtype::I16,
            Dtype::U8,
            Dtype::U16,
        ] {
            let (mut wide, mut narrow) = (Vec::new(), Vec::new());
            decode(dtype, &bytes, &mut wide).unwrap();
            assert!(decode_f32(dtype, &bytes, &mut narrow));
            assert_eq!(wide.len(), narrow.len());
            for (wide, narrow) in wide.into_iter().zip(narrow) {
                let same = wide.to_bits() == f64::from(narrow).to_bits();
                assert!(
                    same || wide.is_nan() && narrow.is_nan(),
                    "{dtype}: {wide} {narrow}"
                );
            }
        }
        assert!(!decode_f32(Dtype::I32, &bytes, &mut Vec::new()));
    }

    #[test]
    fn a_part_of_an_element_is_ignored_and_blocks_are_refused() {
        let mut out = vec![7.0];
        decode(Dtype::F32, &[0, 0, 0x80, 0x3f, 1, 2], &mut out).unwrap();
        assert_eq!(out, [7.0, 1.0]);
        let q4 = Dtype::parse("q4_1").unwrap();
        assert_eq!(decode(q4, &[0; 20], &mut out), Err(Undecodable(q4)));
    }
}
