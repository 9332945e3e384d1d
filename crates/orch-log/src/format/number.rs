//! Numbers as text: the shortest decimal that reads back to the same bits.

use super::short::push_short;
use crate::tensor::Number;

/// Appends a number. Non-finite values are the JSON strings `"NaN"`, `"Infinity"`, `"-Infinity"`.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::F32(value) => push_f32(out, value),
        Number::F64(value) => push_f64(out, value),
        Number::Int(value) => push_short(out, itoa::Buffer::new().format(value).as_bytes()),
        Number::Uint(value) => push_u64(out, value),
    }
}

/// Appends an `f32`; `-0.0` stays `-0.0`.
#[inline]
pub(crate) fn push_f32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        push_finite(out, value);
    } else {
        push_non_finite(out, f64::from(value));
    }
}

/// Appends an `f64`; `-0.0` stays `-0.0`.
#[inline]
pub(crate) fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        push_finite(out, value);
    } else {
        push_non_finite(out, value);
    }
}

/// Appends a finite number, printed where it will stay: copying the digits costs nearly half as much as making them,
/// because a processor waits when it reads in another pattern what it has just written.
#[inline]
fn push_finite<F: zmij::Float>(out: &mut Vec<u8>, value: F) {
    const {
        assert!(
            align_of::<zmij::Buffer>() == 1,
            "a buffer may lie anywhere in a line"
        )
    };
    out.reserve(size_of::<zmij::Buffer>());
    // SAFETY: the room behind the end of `out` holds a `Buffer`, at any address. The text that it returns lies within
    // it and is initialised; if it did not start at the buffer's start, it would be moved there, within the buffer.
    unsafe {
        let end = out.as_mut_ptr().add(out.len());
        let buffer = end.cast::<zmij::Buffer>();
        buffer.write(zmij::Buffer::new());
        let text = (*buffer).format_finite(value);
        let (start, count) = (text.as_ptr(), text.len());
        if start != end.cast_const() {
            end.copy_from(start, count);
        }
        out.set_len(out.len() + count);
    }
}

/// Appends an unsigned integer.
#[inline]
pub(crate) fn push_u64(out: &mut Vec<u8>, value: u64) {
    push_short(out, itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a signed integer.
#[inline]
pub(crate) fn push_i64(out: &mut Vec<u8>, value: i64) {
    push_short(out, itoa::Buffer::new().format(value).as_bytes());
}

#[cold]
fn push_non_finite(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: Number) -> String {
        let mut out = Vec::new();
        push(&mut out, number);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn examples() {
        for (number, expected) in [
            (Number::F32(0.1), "0.1"),
            (Number::F32(-0.0), "-0.0"),
            (Number::F32(1.0), "1.0"),
            (Number::F32(16_777_216.0), "16777216.0"),
            (Number::F32(f32::from_bits(1)), "1e-45"),
            (Number::F32(1.175_494_2e-38), "1.1754942e-38"),
            (Number::F64(0.1), "0.1"),
            (Number::F64(f64::from(0.1f32)), "0.10000000149011612"),
            (Number::F32(f32::NAN), "\"NaN\""),
            (Number::F32(f32::INFINITY), "\"Infinity\""),
            (Number::F64(f64::NEG_INFINITY), "\"-Infinity\""),
            (Number::Int(i64::MIN), "-9223372036854775808"),
            (Number::Uint(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    /// The significant digits, without point, exponent and the zeros around them.
    fn digits(text: &str) -> String {
        let significand = text
            .split(['e', 'E'])
            .next()
            .unwrap_or_default()
            .replace(['.', '-'], "");
        significand.trim_matches('0').to_owned()
    }

    proptest::proptest! {
        /// The standard library prints the shortest digits too, by another algorithm; of two equally near decimals
        /// of that length it may take the other.
        #[test]
        fn as_short_as_can_be(narrow: u32, wide: u64) {
            let (narrow, wide) = (f32::from_bits(narrow), f64::from_bits(wide));
            let length = |text: &str| digits(text).len();
            if narrow.is_finite() && wide.is_finite() {
                proptest::prop_assert_eq!(length(&text(Number::F32(narrow))), length(&format!("{narrow:e}")));
                proptest::prop_assert_eq!(length(&text(Number::F64(wide))), length(&format!("{wide:e}")));
            }
        }

        #[test]
        fn f32_reads_back(bits: u32) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let back: f32 = text(Number::F32(value)).parse().expect("a number");
                proptest::prop_assert_eq!(back.to_bits(), bits);
            }
        }

        #[test]
        fn f64_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let back: f64 = text(Number::F64(value)).parse().expect("a number");
                proptest::prop_assert_eq!(back.to_bits(), bits);
            }
        }
    }
}
