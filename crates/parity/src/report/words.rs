//! Numbers and names as people read them, the same in every renderer.

/// A magnitude with two significant digits: `3.1e-7`, `0.74`, `1.5`, `549`.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 {
            "infinite".to_owned()
        } else {
            "-infinite".to_owned()
        }
    } else if magnitude == 0.0 {
        "0".to_owned()
    } else if !(1e-2..1e5).contains(&magnitude) {
        format!("{value:.1e}")
    } else if magnitude < 0.1 {
        format!("{value:.3}")
    } else if magnitude < 10.0 {
        format!("{value:.2}")
    } else if magnitude < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A value of a tensor with seven significant digits, enough to tell two `f32` apart at a glance.
pub fn value(value: f64) -> String {
    if !value.is_finite() {
        return number(value).replace("infinite", "inf");
    }
    let magnitude = value.abs();
    if magnitude == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e6).contains(&magnitude) {
        format!("{value:.5e}")
    } else {
        let before_point = magnitude.log10().floor() as i32 + 1;
        format!("{value:.*}", (7 - before_point.clamp(1, 7)) as usize)
    }
}

/// A count with thousands apart: `12,345`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 record`, `2 records`.
pub fn counted(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

/// `position 7`, `positions 0 to 5`.
pub fn positions(first: i64, tokens: u64) -> String {
    match i64::try_from(tokens) {
        Ok(tokens) if tokens > 1 => {
            format!("positions {first} to {}", first.saturating_add(tokens - 1))
        }
        _ => format!("position {first}"),
    }
}

/// `prefill`, `step 3`.
pub fn step(step: u64) -> String {
    if step == 0 {
        "prefill".to_owned()
    } else {
        format!("step {step}")
    }
}

/// A fragment as a sentence; names at its beginning keep their case.
pub fn sentence(fragment: &str) -> String {
    let first_word = fragment.split_whitespace().next().unwrap_or_default();
    let is_word = first_word.chars().all(char::is_alphabetic);
    let mut chars = fragment.chars();
    match chars.next() {
        Some(first) if is_word => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        _ => format!("{fragment}."),
    }
}

/// False for control characters, which could repaint a terminal, and for those that reverse the writing direction or
/// cannot be seen: renderers show them as escapes.
pub fn is_harmless(c: char) -> bool {
    let reorders_or_hides = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !c.is_control() && !reorders_or_hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_significant_digits_or_so() {
        let cases = [
            (0.0, "0"),
            (3.14e-7, "3.1e-7"),
            (0.0123, "0.012"),
            (0.7412, "0.74"),
            (1.5, "1.50"),
            (54.9, "54.9"),
            (549.2, "549"),
            (123_456.0, "1.2e5"),
            (-0.5, "-0.50"),
            (f64::INFINITY, "infinite"),
            (f64::NAN, "NaN"),
        ];
        for (input, expected) in cases {
            assert_eq!(number(input), expected);
        }
    }

    #[test]
    fn values() {
        let cases = [
            (1.0, "1.000000"),
            (-12.345678, "-12.34568"),
            (999_999.5, "999999.5"),
            (0.5, "0.500000"),
            (1.5e-5, "1.50000e-5"),
            (1e9, "1.00000e9"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (input, expected) in cases {
            assert_eq!(value(input), expected);
        }
    }

    #[test]
    fn counts_and_positions() {
        assert_eq!(
            [count(0), count(999), count(1000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(counted(2000, "record"), "2,000 records");
        assert_eq!(positions(7, 1), "position 7");
        assert_eq!(positions(0, 6), "positions 0 to 5");
    }
}
