//! Small numerical tools of the rules.

use crate::recompute::round_to;
use orch_log::format::Dtype;

/// √(Σ(a − b)² / Σ a²): what of `found` the `expected` numbers leave unexplained.
///
/// Equal infinities and two NaNs agree; anything else that is not finite is an infinite residual. All zero against
/// all zero is 0, all zero against anything else infinite.
pub(crate) fn residual(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut error, mut total) = (0.0, 0.0);
    for (found, expected) in pairs {
        if found.is_finite() && expected.is_finite() {
            error += (found - expected) * (found - expected);
            total += found * found;
        } else if found != expected && !(found.is_nan() && expected.is_nan()) {
            return f64::INFINITY;
        }
    }
    if error == 0.0 {
        0.0
    } else if total == 0.0 {
        f64::INFINITY
    } else {
        (error / total).sqrt()
    }
}

/// The factor c that makes Σ(found − c·expected)² smallest, over finite pairs; `None` where `expected` is all zero.
pub(crate) fn factor(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut cross, mut square) = (0.0, 0.0);
    for (found, expected) in pairs.filter(|(a, b)| a.is_finite() && b.is_finite()) {
        cross += found * expected;
        square += expected * expected;
    }
    (square > 0.0).then(|| cross / square)
}

/// Largest relative distance at which a fitted number is taken for a familiar one.
const LOOKS_LIKE: f64 = 2e-4;

/// The name of the familiar number that `value` comes to, or the names of several.
///
/// # Example
///
/// ```
/// use parity::explain::looks_like;
/// assert_eq!(looks_like(0.12500001, &[(0.125, "1/8")]), Some("1/8".to_owned()));
/// assert_eq!(looks_like(0.13, &[(0.125, "1/8")]), None);
/// ```
pub fn looks_like<S: AsRef<str>>(value: f64, familiar: &[(f64, S)]) -> Option<String> {
    let names = familiar
        .iter()
        .filter(|(number, _)| ((value - number) / number).abs() < LOOKS_LIKE)
        .map(|(_, name)| name.as_ref())
        .collect::<Vec<_>>();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// Where `cost` is smallest in `[low, high]`: the best of `points` evenly spaced places, then a golden section around it.
pub(crate) fn minimum(low: f64, high: f64, points: usize, cost: &mut dyn FnMut(f64) -> f64) -> f64 {
    let step = (high - low) / (points - 1) as f64;
    let mut best = (f64::INFINITY, low);
    for index in 0..points {
        let at = low + step * index as f64;
        let value = cost(at);
        if value < best.0 {
            best = (value, at);
        }
    }
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = ((best.1 - step).max(low), (best.1 + step).min(high));
    let (mut x, mut y) = (b - ratio * (b - a), a + ratio * (b - a));
    let (mut at_x, mut at_y) = (cost(x), cost(y));
    // 60 sections narrow any interval to the precision of a double.
    for _ in 0..60 {
        if at_x < at_y {
            (b, y, at_y) = (y, x, at_x);
            x = b - ratio * (b - a);
            at_x = cost(x);
        } else {
            (a, x, at_x) = (x, y, at_y);
            y = a + ratio * (b - a);
            at_y = cost(y);
        }
    }
    (a + b) / 2.0
}

/// A number for a sentence: four significant digits, exponents where they help.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        let digits = if value == 0.0 {
            0
        } else {
            (4 - value.abs().log10().floor() as i32 - 1).clamp(0, 6)
        };
        let text = format!("{value:.*}", digits as usize);
        if text.contains('.') {
            return text.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        return text;
    }
    let text = format!("{value:.3e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{exponent}")
        }
        _ => text,
    }
}

/// `3`, `3 and 5`, `3 to 7`, `1, 3, 5, 7 and 12 more`: numbers for a sentence, ascending.
pub(crate) fn list(numbers: &[i64]) -> String {
    let consecutive = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
    match numbers {
        [] => "none".to_owned(),
        [one] => one.to_string(),
        [a, b] => format!("{a} and {b}"),
        [first, .., last] if consecutive => format!("{first} to {last}"),
        _ if numbers.len() <= 5 => {
            let all: Vec<String> = numbers.iter().map(i64::to_string).collect();
            format!(
                "{} and {}",
                all[..all.len() - 1].join(", "),
                all[all.len() - 1]
            )
        }
        _ => {
            let first: Vec<String> = numbers[..4].iter().map(i64::to_string).collect();
            format!("{} and {} more", first.join(", "), numbers.len() - 4)
        }
    }
}

/// Rounds as an assignment to the narrower type does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// IEEE binary16.
    F16,
    /// Upper half of binary32.
    Bf16,
    /// binary32 cut to ten binary digits, as tensor cores do with TF32.
    Tf32,
    /// OCP E4M3.
    F8,
}

impl Narrow {
    /// All types, the widest mantissa first.
    pub const ALL: [Self; 4] = [Self::Tf32, Self::F16, Self::Bf16, Self::F8];

    /// Its name in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
            Self::F8 => "f8_e4m3",
        }
    }

    /// The nearest number of the type (for TF32 the one towards zero).
    pub fn round(self, value: f64) -> f64 {
        let single = value as f32;
        match self {
            Self::F16 => round_to(Dtype::F16, f64::from(single)),
            Self::Bf16 => round_to(Dtype::Bf16, f64::from(single)),
            Self::Tf32 => f64::from(f32::from_bits(single.to_bits() & !0x1fff)),
            // Stored with saturation, as caches and matrices are.
            Self::F8 if value.is_infinite() => value,
            Self::F8 => round_to(Dtype::F8E4m3, value.clamp(-448.0, 448.0)),
        }
    }
}

impl Narrow {
    /// Binary digits after the leading one.
    const fn digits(self) -> i32 {
        match self {
            Self::F16 | Self::Tf32 => 10,
            Self::Bf16 => 7,
            Self::F8 => 3,
        }
    }

    /// What rounding makes of `right`, knowing what was found: between two numbers of the type the last digits of
    /// `right`, which nobody computes alike, decide, so that a neighbour that was found is as good as the other.
    pub(crate) fn snapped(self, right: f64, found: f64) -> f64 {
        let rounded = self.round(right);
        if found == rounded || !found.is_finite() || self.round(found) != found {
            return rounded;
        }
        let spacing = (found.abs().log2().floor() - f64::from(self.digits())).exp2();
        let reach = if self == Self::Tf32 { 1.02 } else { 0.52 };
        if (found - right).abs() <= reach * spacing {
            found
        } else {
            rounded
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_of_nothing_and_of_what_is_not_finite() {
        let of = |a: &[f64], b: &[f64]| residual(a.iter().copied().zip(b.iter().copied()));
        assert_eq!(of(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(of(&[3.0, 4.0], &[0.0, 0.0]), 1.0);
        assert_eq!(of(&[0.0], &[0.0]), 0.0);
        assert_eq!(of(&[0.0], &[1.0]), f64::INFINITY);
        assert_eq!(of(&[f64::NAN, 2.0], &[f64::NAN, 2.0]), 0.0);
        assert_eq!(of(&[f64::INFINITY], &[f64::NEG_INFINITY]), f64::INFINITY);
    }

    #[test]
    fn a_minimum_is_found_to_the_last_digits() {
        let found = minimum(-10.0, 10.0, 21, &mut |x| (x - 1.25) * (x - 1.25));
        assert!((found - 1.25).abs() < 1e-7, "{found}");
    }

    #[test]
    fn eight_bit_floats() {
        // From the table of OFP8: 448 is the largest, 2⁻⁹ the smallest.
        for (value, nearest) in [
            (1000.0, 448.0),
            (17.0, 16.0),
            (19.0, 20.0),
            (0.3, 0.3125),
            (0.0019, 0.001953125),
            (-1.0, -1.0),
        ] {
            assert_eq!(Narrow::F8.round(value), nearest, "{value}");
        }
    }

    #[test]
    fn numbers_in_sentences() {
        assert_eq!(short(0.125), "0.125");
        assert_eq!(short(1e-6), "1e-6");
        assert_eq!(short(500000.0), "5e5");
        assert_eq!(short(10000.0), "10000");
        assert_eq!(list(&[3]), "3");
        assert_eq!(list(&[3, 4, 5]), "3 to 5");
        assert_eq!(list(&[1, 3, 7]), "1, 3 and 7");
    }
}
