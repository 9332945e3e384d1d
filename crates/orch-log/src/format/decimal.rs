//! Decimal text to the nearest binary float.

/// A JSON number, scanned once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    text: &'a [u8],
    /// The digits as an integer, where they fit 64 bits; the value is ± digits × 10^exponent.
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

/// Digits that always fit 64 bits.
const MAX_DIGITS: usize = 19;

/// The powers of ten that fit 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = 10 * powers[at - 1];
        at += 1;
    }
    powers
};

impl<'a> Decimal<'a> {
    /// Scans a JSON number at the start of `bytes`; `None` when there is none.
    #[inline]
    pub(crate) fn scan(bytes: &'a [u8]) -> Option<Self> {
        let negative = bytes.first() == Some(&b'-');
        let start = usize::from(negative);
        let (mut digits, mut exponent, mut integer) = (0u64, 0i32, true);
        let mut at = start;
        take_digits(bytes, &mut at, &mut digits);
        let whole = at - start;
        if whole == 0 || (whole > 1 && bytes[start] == b'0') {
            return None;
        }
        let mut fraction = 0;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let from = at;
            take_eights(bytes, &mut at, &mut digits);
            take_digits(bytes, &mut at, &mut digits);
            fraction = at - from;
            if fraction == 0 {
                return None;
            }
            exponent = i32::try_from(fraction).map_or(i32::MIN, |fraction| -fraction);
            integer = false;
        }
        let fits = whole + fraction <= MAX_DIGITS || has_few_digits(&bytes[start..at]);
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            exponent = exponent.saturating_add(take_exponent(bytes, &mut at)?);
            integer = false;
        }
        Some(Self {
            text: &bytes[..at],
            digits,
            exponent,
            negative,
            fits,
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
        if !self.integer || !self.fits {
            return None;
        }
        if self.negative {
            0i64.checked_sub_unsigned(self.digits)
        } else {
            i64::try_from(self.digits).ok()
        }
    }

    /// The nearest `f64`.
    #[inline]
    pub(crate) fn as_f64(&self) -> f64 {
        self.exact_quotient()
            .or_else(|| self.long_quotient())
            .unwrap_or_else(|| self.by_std().unwrap_or(f64::NAN))
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
        self.by_std::<f32>().map_or(f64::NAN, f64::from)
    }

    /// The standard library's answer, which is right for any text.
    #[cold]
    fn by_std<F: std::str::FromStr>(&self) -> Option<F> {
        std::str::from_utf8(self.text).ok()?.parse().ok()
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
        Some(self.signed(value))
    }

    /// Signs can't be foreseen: no branch.
    #[inline]
    fn signed(&self, magnitude: f64) -> f64 {
        f64::from_bits(magnitude.to_bits() | u64::from(self.negative) << 63)
    }

    /// More digits than an `f64` holds, over a power of ten of 64 bits: at least 63 bits of the quotient, the last of
    /// which also says whether anything is left, round once and correctly.
    fn long_quotient(&self) -> Option<f64> {
        if !self.fits || self.exponent > 0 || self.digits == 0 {
            return None;
        }
        let power = *POWERS.get(self.exponent.unsigned_abs() as usize)?;
        // Both with their highest bit set, so that the quotient of the dividend's 127 bits has 63 or 64.
        let (up, down) = (self.digits.leading_zeros(), power.leading_zeros());
        let dividend = u128::from(self.digits << up) << 63;
        let divisor = u128::from(power << down);
        let (quotient, rest) = (dividend / divisor, dividend % divisor);
        let rounded = (quotient as u64 | u64::from(rest != 0)) as f64;
        // A power of two between 2^-126 and 1, so that the product is exact.
        let scale = f64::from_bits(u64::from(1023 + down - up - 63) << 52);
        Some(self.signed(rounded * scale))
    }
}

/// Digits one by one.
#[inline]
fn take_digits(bytes: &[u8], at: &mut usize, digits: &mut u64) {
    while let Some(digit) = bytes
        .get(*at)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|digit| *digit < 10)
    {
        *digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
        *at += 1;
    }
}

/// Digits by eights, as long as there are eight bytes to look at.
#[inline]
fn take_eights(bytes: &[u8], at: &mut usize, digits: &mut u64) {
    while let Some(eight) = bytes[*at..].first_chunk::<8>() {
        let (count, number) = leading_digits(eight);
        *digits = digits.wrapping_mul(POWERS[count]).wrapping_add(number);
        *at += count;
        if count < 8 {
            return;
        }
    }
}

/// How many digits eight bytes begin with, and the number that they make.
///
/// Without a branch, since how long numbers are can't be foreseen.
#[inline]
fn leading_digits(text: &[u8; 8]) -> (usize, u64) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let ones = u64::from_le_bytes(*text) ^ (0x30 * EACH);
    // Digits are now 0 to 9; the others get their highest bit by adding to the lower seven, or have it, and none of the
    // sums carries over.
    let others = (((ones & (0x7F * EACH)) + (0x76 * EACH)) | ones) & (0x80 * EACH);
    let count = (others.trailing_zeros() / 8) as usize;
    // The first digit comes first in memory, and is the highest: zeros go in front. Shifting by 64 is twice by 32.
    let shift = 32 - 4 * count as u32;
    let ones = ones << shift << shift;
    // Neighbours join to numbers of two digits, of four, of eight.
    let pairs = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (count, (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}

/// Whether digits, with a point perhaps, fit 64 bits: zeros in front carry nothing.
#[cold]
fn has_few_digits(text: &[u8]) -> bool {
    let digits = text.iter().filter(|byte| **byte != b'.');
    digits.skip_while(|byte| **byte == b'0').count() <= MAX_DIGITS
}

/// An exponent from its `e` on; `None` where it has no digits.
fn take_exponent(bytes: &[u8], at: &mut usize) -> Option<i32> {
    *at += 1;
    let negative = bytes.get(*at) == Some(&b'-');
    *at += usize::from(matches!(bytes.get(*at), Some(b'-' | b'+')));
    let from = *at;
    let mut written = 0i32;
    while let Some(digit) = bytes
        .get(*at)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|digit| *digit < 10)
    {
        written = written.saturating_mul(10).saturating_add(i32::from(digit));
        *at += 1;
    }
    (*at > from).then_some(if negative { -written } else { written })
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

        /// As a sketch prints its sums, and longer.
        #[test]
        fn long_fractions_agree_with_std(whole in 0u64..100_000, digits: u64, zeros in 0usize..12, negative: bool) {
            let text = format!("{}{whole}.{}{digits}", if negative { "-" } else { "" }, "0".repeat(zeros));
            let number = Decimal::scan(text.as_bytes()).expect("a number");
            proptest::prop_assert_eq!(number.len(), text.len());
            let (f64_value, f32_value): (f64, f32) = (text.parse().expect("f64"), text.parse().expect("f32"));
            proptest::prop_assert_eq!(number.as_f64().to_bits(), f64_value.to_bits(), "{}", text);
            proptest::prop_assert_eq!((number.as_f32() as f32).to_bits(), f32_value.to_bits(), "{}", text);
        }
    }

    /// Quotients that lie between two `f64`, or next to the middle.
    #[test]
    fn ties_of_long_fractions() {
        for text in [
            "9007199254740993.0",
            "9007199254740995.000",
            "9007199254740993.001",
            "9007199254740992.999",
            "4503599627370496.5",
            "4503599627370497.5",
            "0.9007199254740993",
            "1844674407370955161.5",
            "9999999999999999999",
            "0.000000000000000000",
            "0.00000000000000000001",
        ] {
            let number = Decimal::scan(text.as_bytes()).expect(text);
            let value: f64 = text.parse().expect(text);
            assert_eq!(number.as_f64().to_bits(), value.to_bits(), "{text}");
        }
    }

    #[test]
    fn leading_digits_end_at_any_other_byte() {
        assert_eq!(leading_digits(b"12345678"), (8, 12_345_678));
        assert_eq!(leading_digits(b"00000009"), (8, 9));
        for place in 0..8 {
            for byte in (0..=255u8).filter(|byte| !byte.is_ascii_digit()) {
                let mut text = *b"98989898";
                text[place] = byte;
                let number = text[..place]
                    .iter()
                    .fold(0, |all, digit| all * 10 + u64::from(digit - b'0'));
                assert_eq!(leading_digits(&text), (place, number), "{byte} at {place}");
            }
        }
    }
}
