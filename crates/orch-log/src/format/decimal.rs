//! Decimal text to the nearest binary float.

/// A JSON number, scanned once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    text: &'a str,
    /// The digits as an integer, where they fit 19 digits; the value is ± digits × 10^exponent.
    digits: u64,
    exponent: i32,
    negative: bool,
    fits: bool,
    integer: bool,
}

/// The powers of ten that an `f64` holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl<'a> Decimal<'a> {
    /// Scans a JSON number at the start of `bytes`; `None` when there is none.
    #[inline]
    pub(crate) fn scan(bytes: &'a [u8]) -> Option<Self> {
        let mut at = 0;
        let negative = bytes.first() == Some(&b'-');
        at += usize::from(negative);
        let start = at;
        let (mut digits, mut count, mut exponent) = (0u64, 0u32, 0i32);
        let mut take = |at: &mut usize| {
            let from = *at;
            while let Some(digit) = bytes
                .get(*at)
                .map(|byte| byte.wrapping_sub(b'0'))
                .filter(|digit| *digit < 10)
            {
                // Leading zeros carry nothing; past 19 digits the integer would overflow.
                if digits != 0 || digit != 0 {
                    count += 1;
                }
                digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
                *at += 1;
            }
            *at - from
        };
        let whole = take(&mut at);
        if whole == 0 || (whole > 1 && bytes[start] == b'0') {
            return None;
        }
        let mut integer = true;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let fraction = take(&mut at);
            if fraction == 0 {
                return None;
            }
            exponent = i32::try_from(fraction)
                .ok()
                .map_or(i32::MIN, |fraction| -fraction);
            integer = false;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            let negative = bytes.get(at) == Some(&b'-');
            at += usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
            let from = at;
            let mut written = 0i32;
            while let Some(digit) = bytes
                .get(at)
                .map(|byte| byte.wrapping_sub(b'0'))
                .filter(|digit| *digit < 10)
            {
                written = written.saturating_mul(10).saturating_add(i32::from(digit));
                at += 1;
            }
            if at == from {
                return None;
            }
            exponent = exponent.saturating_add(if negative { -written } else { written });
            integer = false;
        }
        // ASCII only, so this cannot fail.
        let text = std::str::from_utf8(&bytes[..at]).ok()?;
        Some(Self {
            text,
            digits,
            exponent,
            negative,
            fits: count <= 19,
            integer,
        })
    }

    /// Bytes of the number's text.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The value, when the text is an integer without a fraction or an exponent.
    #[inline]
    pub(crate) fn as_i64(&self) -> Option<i64> {
        self.integer.then(|| self.text.parse().ok()).flatten()
    }

    /// The nearest `f64`.
    #[inline]
    pub(crate) fn as_f64(&self) -> f64 {
        self.exact_quotient()
            .unwrap_or_else(|| self.text.parse().unwrap_or(f64::NAN))
    }

    /// The nearest `f32`, widened.
    #[inline]
    pub(crate) fn as_f32(&self) -> f64 {
        // One rounding to f64, then one to f32, is the same as a single rounding unless the f64 lies
        // exactly between two neighbouring f32 (the 29 bits that go are 1000…0): rounding is monotonic and
        // that midpoint is itself an f64. Subnormal f32 lose more bits, so they take the other way.
        if let Some(value) = self.exact_quotient() {
            let lost = value.to_bits() & 0x1fff_ffff;
            let magnitude = value.abs();
            if lost != 0x1000_0000 && ((1.2e-38..3.4e38).contains(&magnitude) || magnitude == 0.0) {
                return f64::from(value as f32);
            }
        }
        self.text.parse::<f32>().map_or(f64::NAN, f64::from)
    }

    /// Digits and power of ten both exact in an `f64`: then one multiplication or division rounds once
    /// and correctly.
    ///
    /// # Source
    ///
    /// W. D. Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990.
    #[inline]
    fn exact_quotient(&self) -> Option<f64> {
        if !self.fits || self.digits > 1 << 53 {
            return None;
        }
        let digits = self.digits as f64;
        let power = *EXACT_POWERS.get(self.exponent.unsigned_abs() as usize)?;
        let value = if self.exponent < 0 {
            digits / power
        } else {
            digits * power
        };
        Some(if self.negative { -value } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_number() {
        for (text, length) in [
            ("0", 1),
            ("-0.0,", 4),
            ("1e5]", 3),
            ("12.50e-3", 8),
            ("1E+2", 4),
            ("18446744073709551616", 20),
        ] {
            assert_eq!(
                Decimal::scan(text.as_bytes()).map(|number| number.len()),
                Some(length),
                "{text}"
            );
        }
        for text in [
            "", "-", "+1", ".5", "5.", "01", "1e", "1e+", "nan", "-x", "\"1\"",
        ] {
            assert!(Decimal::scan(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn values() {
        for text in [
            "0",
            "-0.0",
            "1",
            "0.1",
            "123456.789",
            "9007199254740993",
            "9007199254740992.5",
            "1e22",
            "1e23",
            "1e-22",
            "1e-320",
            "1e400",
            "0.000000000000000000000000000000000000011754942",
            "16777217",
            "16777217.0000000001",
            "1.00000005960464477539062500000000001",
            "1.000000059604644775390625",
            "3.4028236e38",
            "1e-46",
            "7e-46",
            "99999999999999999999999999",
            "-4.9406564584124654e-324",
        ] {
            let number = Decimal::scan(text.as_bytes()).expect(text);
            let (f64_value, f32_value): (f64, f32) =
                (text.parse().expect(text), text.parse().expect(text));
            assert_eq!(number.as_f64().to_bits(), f64_value.to_bits(), "{text}");
            assert_eq!(
                (number.as_f32() as f32).to_bits(),
                f32_value.to_bits(),
                "{text}"
            );
        }
        assert_eq!(
            Decimal::scan(b"-9223372036854775808").and_then(|number| number.as_i64()),
            Some(i64::MIN)
        );
        assert_eq!(
            Decimal::scan(b"9223372036854775808").and_then(|number| number.as_i64()),
            None
        );
        assert_eq!(
            Decimal::scan(b"1.0").and_then(|number| number.as_i64()),
            None
        );
    }

    proptest::proptest! {
        /// The standard library's correctly rounded parser is the independent answer.
        #[test]
        fn agrees_with_std(digits: u64, scale in 0u32..20, exponent in -60i32..60, negative: bool) {
            let mut text = format!("{}{}", if negative { "-" } else { "" }, digits / 10u64.pow(scale));
            if scale % 3 > 0 {
                text += &format!(".{}", digits % 1000);
            }
            if scale % 2 > 0 {
                text += &format!("e{exponent}");
            }
            let number = Decimal::scan(text.as_bytes()).expect("a number");
            let (f64_value, f32_value): (f64, f32) = (text.parse().expect("f64"), text.parse().expect("f32"));
            proptest::prop_assert_eq!(number.as_f64().to_bits(), f64_value.to_bits());
            proptest::prop_assert_eq!((number.as_f32() as f32).to_bits(), f32_value.to_bits());
        }
    }
}
