//! Names with gaps: `blk.{i}.attn_q` and the canonical names that they stand for.

use std::fmt;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `{i}`: a decimal number without sign, kept under this letter.
    Number(char),
    /// `*`: anything, also nothing.
    Anything,
}

/// A name as a trace writes it, with gaps.
///
/// `{i}`, or any other lower-case letter, is a decimal number; `*` is anything.
///
/// # Example
///
/// ```
/// use parity::align::maps::{Pattern, Template};
/// let pattern = Pattern::parse("blk.{i}.attn_q").unwrap();
/// let numbers = pattern.matches("blk.12.attn_q").unwrap();
/// assert_eq!(Template::parse("layer_{i}_q").unwrap().fill(&numbers).unwrap(), "layer_12_q");
/// assert!(pattern.matches("blk.x.attn_q").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

/// The numbers in the gaps of a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers(Vec<(char, i64)>);

impl Numbers {
    fn get(&self, letter: char) -> Option<i64> {
        self.0
            .iter()
            .find(|(known, _)| *known == letter)
            .map(|(_, number)| *number)
    }
}

/// The gap that begins `text`: what is between the braces, and what follows them.
fn gap(text: &str) -> Option<Result<(&str, &str), String>> {
    let rest = text.strip_prefix('{')?;
    Some(
        rest.split_once('}')
            .ok_or_else(|| format!("`{text}` opens a brace and does not close it")),
    )
}

fn letter(gap: &str) -> Result<char, String> {
    let mut letters = gap.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_lowercase() => Ok(letter),
        _ => Err(format!(
            "`{{{gap}}}` is not one lower-case letter in braces, such as `{{i}}`"
        )),
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a name is empty".to_owned());
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            if let Some(gap) = gap(rest) {
                let (inside, after) = gap?;
                let letter = letter(inside)?;
                if parts.contains(&Part::Number(letter)) {
                    return Err(format!("`{text}` has two gaps `{{{letter}}}`"));
                }
                parts.push(Part::Number(letter));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('*') {
                parts.push(Part::Anything);
                rest = after;
            } else {
                let end = rest.find(['{', '*']).unwrap_or(rest.len());
                parts.push(Part::Literal(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        Ok(Self(parts))
    }

    /// The numbers in the gaps, where the whole name fits.
    pub fn matches(&self, name: &str) -> Option<Numbers> {
        let mut numbers = Numbers::default();
        fits(&self.0, name, &mut numbers).then_some(numbers)
    }

    /// True where the pattern stands for exactly one name.
    pub(super) fn is_literal(&self) -> bool {
        matches!(self.0.as_slice(), [Part::Literal(_)])
    }

    /// Characters that are not gaps: of two patterns that fit, the one with more of them says more.
    pub(super) fn literal_len(&self) -> usize {
        let lengths = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Number(_) | Part::Anything => 0,
        });
        lengths.sum()
    }

    pub(super) fn has_letter(&self, letter: char) -> bool {
        self.0.contains(&Part::Number(letter))
    }
}

fn fits(parts: &[Part], name: &str, numbers: &mut Numbers) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return name.is_empty();
    };
    match part {
        Part::Literal(text) => name
            .strip_prefix(text.as_str())
            .is_some_and(|after| fits(rest, after, numbers)),
        Part::Number(letter) => {
            // All digits: `blk.{i}1` for `blk.121` would be a riddle, not a name.
            let end = name
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(name.len());
            let Ok(number) = name[..end].parse() else {
                return false;
            };
            numbers.0.push((*letter, number));
            let fit = fits(rest, &name[end..], numbers);
            if !fit {
                numbers.0.pop();
            }
            fit
        }
        Part::Anything => (0..=name.len())
            .any(|end| name.is_char_boundary(end) && fits(rest, &name[end..], numbers)),
    }
}

/// A canonical name with gaps that a pattern fills: `layer_{i}_q`, `layer_{i-1}_output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// The number of a gap, and what is added to it.
    Number(char, i64),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a name is empty".to_owned());
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            if let Some(gap) = gap(rest) {
                let (inside, after) = gap?;
                let (name, added) = match inside.find(['+', '-']) {
                    Some(at) => {
                        let added = inside[at..].parse().map_err(|_| {
                            format!("`{{{inside}}}` is not a letter and a number to add, such as `{{i-1}}`")
                        })?;
                        (&inside[..at], added)
                    }
                    None => (inside, 0),
                };
                pieces.push(Piece::Number(letter(name)?, added));
                rest = after;
            } else {
                let end = rest.find('{').unwrap_or(rest.len());
                pieces.push(Piece::Literal(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        Ok(Self(pieces))
    }

    /// The gaps that a pattern must have.
    pub(super) fn letters(&self) -> impl Iterator<Item = char> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Number(letter, _) => Some(*letter),
            Piece::Literal(_) => None,
        })
    }

    /// The name.
    ///
    /// The output of block −1 is the stream that enters block 0, `embedding`. `None` where another name would have
    /// a negative number, or a gap has none.
    pub fn fill(&self, numbers: &Numbers) -> Option<String> {
        let mut name = String::new();
        let mut before_first = false;
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Number(letter, added) => {
                    let number = numbers.get(*letter)?.checked_add(*added)?;
                    before_first |= number < 0;
                    name.push_str(&number.to_string());
                }
            }
        }
        match (before_first, name.as_str()) {
            (false, _) => Some(name),
            (true, "layer_-1_output") => Some("embedding".to_owned()),
            (true, _) => None,
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => f.write_str(text)?,
                Piece::Number(letter, 0) => write!(f, "{{{letter}}}")?,
                Piece::Number(letter, added) => write!(f, "{{{letter}{added:+}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pattern: &str, template: &str, name: &str) -> Option<String> {
        let numbers = Pattern::parse(pattern).unwrap().matches(name)?;
        Template::parse(template).unwrap().fill(&numbers)
    }

    #[test]
    fn gaps_are_filled() {
        assert_eq!(
            map("h.{i}.x", "layer_{i}_y", "h.07.x").unwrap(),
            "layer_7_y"
        );
        assert_eq!(
            map("s.{i}", "layer_{i-1}_output", "s.3").unwrap(),
            "layer_2_output"
        );
        assert_eq!(
            map("s.{i}", "layer_{i-1}_output", "s.0").unwrap(),
            "embedding"
        );
        assert_eq!(map("s.{i}", "layer_{i-1}_q", "s.0"), None);
        assert_eq!(
            map("*.q.{i}.{j}", "layer_{j}_q", "a.b.q.1.2").unwrap(),
            "layer_2_q"
        );
        assert_eq!(map("a*b", "x", "ab").unwrap(), "x");
        for name in ["s.", "s.-1", "s.1 ", "s.99999999999999999999", "t.1"] {
            assert_eq!(map("s.{i}", "x", name), None, "{name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for text in ["", "a{i", "a{ij}", "a{}", "a{I}", "a{i}b{i}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        for text in ["", "a{i", "a{i*2}", "a{i-x}", "a{-1}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Template::parse("layer_{i-1}_q").unwrap().to_string(),
            "layer_{i-1}_q"
        );
    }
}
