//! Roundings to the types that engines keep numbers in.

use half::f16;
use orch_log::format::Dtype;

/// The nearest number of a float type, ties to even; numbers past the largest become infinite, in E4M3, which has no
/// infinity, NaN. Types that are not floats, and f64, change nothing.
///
/// # Example
///
/// ```
/// use orch_log::format::Dtype;
/// use parity::recompute::round_to;
/// assert_eq!(round_to(Dtype::Bf16, 1.0 + 2_f64.powi(-9)), 1.0);
/// assert_eq!(round_to(Dtype::F8E4m3, 17.5), 18.0);
/// ```
pub fn round_to(dtype: Dtype, x: f64) -> f64 {
    // Stored significand bits, smallest normal exponent, largest number. IEEE 754 and OFP8.
    let (bits, least, largest) = match dtype {
        Dtype::F32 => return f64::from(x as f32),
        Dtype::F16 => (10, -14, 65504.0),
        Dtype::Bf16 => (7, -126, 3.389_531_389_251_535_5e38),
        Dtype::F8E4m3 => (3, -6, 448.0),
        Dtype::F8E5m2 => (2, -14, 57344.0),
        _ => return x,
    };
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let quantum = 2_f64.powi(exponent.max(least) - bits);
    let rounded = (x / quantum).round_ties_even() * quantum;
    if rounded.abs() <= largest {
        rounded
    } else if dtype == Dtype::F8E4m3 {
        f64::NAN
    } else {
        f64::INFINITY.copysign(x)
    }
}

/// Rounds a row as ggml's cache of this type keeps it; false for a type that is not emulated.
pub(super) fn round_row(dtype: Dtype, row: &mut [f64]) -> bool {
    match dtype {
        Dtype::F64 | Dtype::F32 => true,
        Dtype::Ggml(name) if name.as_str() == "q8_0" => {
            row.chunks_mut(32).for_each(q8_0);
            true
        }
        Dtype::Ggml(_) => false,
        _ => {
            row.iter_mut().for_each(|x| *x = round_to(dtype, *x));
            true
        }
    }
}

/// A block of ggml's Q8_0: eight bits an element, one f16 scale.
///
/// # Source
///
/// `quantize_row_q8_0_ref`: the scale is the largest magnitude over 127, its reciprocal is taken before it is rounded
/// to f16, elements round half away from zero.
fn q8_0(block: &mut [f64]) {
    let largest = block
        .iter()
        .fold(0_f32, |max, x| max.max((*x as f32).abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let kept = f64::from(f16::from_f32(scale).to_f32());
    for x in block {
        *x = f64::from((*x as f32 * inverse).round()) * kept;
    }
}

/// Elements of a block of ggml's Q8_K.
pub(super) const LONG_BLOCK: usize = 256;

/// A block of ggml's Q8_K: eight bits an element, one f32 scale.
///
/// # Source
///
/// `quantize_row_q8_K_ref`: the element of largest magnitude becomes -127, elements round to the nearest integer.
pub(super) fn q8_k(block: &mut [f64]) {
    let largest = block.iter().fold(0_f32, |largest, x| {
        let x = *x as f32;
        if x.abs() > largest.abs() { x } else { largest }
    });
    if largest == 0.0 {
        return;
    }
    let inverse = -127.0 / largest;
    let scale = f64::from(1.0 / inverse);
    for x in block {
        *x = f64::from((inverse * *x as f32).round().min(127.0)) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn agrees_with_another_implementation() {
        let mut state = 0x1234_5678_9abc_def1_u64;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Magnitudes from 2^-30 to 2^30, so that subnormals and overflows of f16 occur.
            let scale = 2_f64.powi((state % 61) as i32 - 30);
            // An f32, whose conversions in `half` are exact; that of an f64 to bf16 is not.
            let x = (((state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0) * scale) as f32;
            let wide = f64::from(x);
            let (f16, bf16) = (f16::from_f32(x), bf16::from_f32(x));
            assert_eq!(round_to(Dtype::F16, wide), f16.to_f64(), "{x:e}");
            assert_eq!(round_to(Dtype::Bf16, wide), bf16.to_f64(), "{x:e}");
        }
    }

    #[test]
    fn eight_bits() {
        // By hand from the OFP8 tables: 448 is the largest E4M3, 2^-9 the smallest.
        assert_eq!(round_to(Dtype::F8E4m3, 440.0), 448.0);
        assert!(round_to(Dtype::F8E4m3, 480.0).is_nan());
        assert_eq!(round_to(Dtype::F8E4m3, 0.003), 2_f64.powi(-8));
        assert_eq!(round_to(Dtype::F8E5m2, -1.1), -1.0);
        let mut block = [0.0; 32];
        (block[0], block[1]) = (127.0, -2.4);
        assert!(round_row(Dtype::parse("q8_0").unwrap(), &mut block));
        assert_eq!(block[..3], [127.0, -2.0, 0.0]);
        assert!(!round_row(Dtype::parse("q4_0").unwrap(), &mut block));
    }

    #[test]
    fn a_long_block_has_one_step() {
        // By hand: steps of 2 where 254 is the largest; 100.9 / 2 = 50.45 and -3.1 / 2 = -1.55 are rounded.
        let mut block = [0.0; LONG_BLOCK];
        (block[0], block[1], block[255]) = (254.0, 100.9, -3.1);
        q8_k(&mut block);
        for (at, expected) in [(0, 254.0), (1, 100.0), (2, 0.0), (255, -4.0)] {
            assert!((block[at] - expected).abs() < 1e-4, "{at}: {}", block[at]);
        }
        let mut nothing = [0.0; LONG_BLOCK];
        q8_k(&mut nothing);
        assert_eq!(nothing, [0.0; LONG_BLOCK]);
    }
}
