//! A position in a line of JSON, and the few things that can be read there.

use std::fmt;

use super::decimal::Decimal;
use super::text::{TOPS, to_escape};

/// Why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// 1-based column, in bytes.
    pub column: usize,
    /// What was wrong there.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

pub(crate) type Result<T> = std::result::Result<T, ParseError>;

/// Reads from the front of a line.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Reads at an earlier position, and goes on where it was.
    pub(crate) fn at<T>(
        &mut self,
        position: usize,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let here = std::mem::replace(&mut self.at, position);
        let outcome = read(self);
        if outcome.is_ok() {
            self.at = here;
        }
        outcome
    }

    pub(crate) fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        self.error_at(self.at, message)
    }

    pub(crate) fn error_at<T>(&self, at: usize, message: impl Into<String>) -> Result<T> {
        Err(ParseError {
            column: at + 1,
            message: message.into(),
        })
    }

    /// An error that also shows what stands here.
    #[cold]
    pub(crate) fn expected<T>(&self, what: &str) -> Result<T> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        if rest.is_empty() {
            return self.error(format!("expected {what}, found the end of the line"));
        }
        let shown: String = String::from_utf8_lossy(&rest[..rest.len().min(12)])
            .chars()
            .take(12)
            .collect();
        self.error(format!("expected {what}, found `{}`", shown.escape_debug()))
    }

    /// The next byte that is not a blank, left in place.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Consumes `byte` if it is next.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<()> {
        if self.eat(byte) {
            return Ok(());
        }
        self.expected_byte(byte)
    }

    #[cold]
    fn expected_byte(&self, byte: u8) -> Result<()> {
        self.expected(&format!("`{}`", char::from(byte)))
    }

    /// Consumes `word` if it is next and not the start of a longer word.
    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        self.peek();
        let rest = &self.bytes[self.at..];
        let found = rest.starts_with(word.as_bytes())
            && !rest
                .get(word.len())
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        if found {
            self.at += word.len();
        }
        found
    }

    /// Consumes a JSON number if one is next.
    #[inline]
    pub(crate) fn eat_number(&mut self) -> Option<Decimal<'a>> {
        self.peek();
        let number = Decimal::scan(&self.bytes[self.at..])?;
        self.at += number.len();
        Some(number)
    }

    /// Goes over `{ "key": value, … }`, handing each key to `value`, which consumes the value.
    pub(crate) fn object(
        &mut self,
        mut value: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        self.expect(b'{')?;
        if self.eat(b'}') {
            return Ok(());
        }
        let mut unescaped = String::new();
        loop {
            if self.peek() != Some(b'"') {
                return self.expected("a field name");
            }
            let key = self.string(&mut unescaped)?;
            self.expect(b':')?;
            value(self, key)?;
            if self.eat(b',') {
                continue;
            }
            if self.eat(b'}') {
                return Ok(());
            }
            return self.expected("`,` or `}`");
        }
    }

    /// Goes over `[ value, … ]`; `value` consumes each.
    #[inline]
    pub(crate) fn array(&mut self, mut value: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(b'[')?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            value(self)?;
            if self.eat(b',') {
                continue;
            }
            if self.eat(b']') {
                return Ok(());
            }
            return self.expected("`,` or `]`");
        }
    }

    /// A string: borrowed from the line, or from `scratch` when it holds escapes.
    #[inline]
    pub(crate) fn string<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str>
    where
        'a: 's,
    {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_prefix(&self.bytes[start..]);
        if self.bytes.get(self.at) == Some(&b'"') {
            let text = &self.bytes[start..self.at];
            self.at += 1;
            // SAFETY: `plain_prefix` passes ASCII only.
            return Ok(unsafe { std::str::from_utf8_unchecked(text) });
        }
        self.any_string(start, scratch)
    }

    /// The rest of a string that is not plain ASCII, or has no end; it began at `start`.
    #[cold]
    fn any_string<'s>(&mut self, start: usize, scratch: &'s mut String) -> Result<&'s str>
    where
        'a: 's,
    {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    let text = self.utf8(start, self.at)?;
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => {
                    self.at = start;
                    self.unescape(scratch)?;
                    return Ok(scratch);
                }
                0..0x20 => return self.error("control character in a string"),
                _ => self.at += 1,
            }
        }
        self.error_at(start - 1, "string without an end")
    }

    /// A string that is the value of `field`.
    pub(crate) fn string_field<'s>(
        &mut self,
        scratch: &'s mut String,
        field: &str,
    ) -> Result<&'s str>
    where
        'a: 's,
    {
        if self.peek() != Some(b'"') {
            return self.expected(&format!("a string for `{field}`"));
        }
        self.string(scratch)
    }

    /// An integer that is the value of `field`.
    pub(crate) fn integer_field(&mut self, field: &str) -> Result<i64> {
        self.peek();
        let at = self.at;
        match self.eat_number() {
            Some(number) => number.as_i64().map_or_else(
                || self.error_at(at, format!("`{field}` is not an integer of 64 bits")),
                Ok,
            ),
            None => self.expected(&format!("an integer for `{field}`")),
        }
    }

    /// A count that is the value of `field`.
    pub(crate) fn count_field(&mut self, field: &str) -> Result<usize> {
        self.peek();
        let at = self.at;
        match usize::try_from(self.integer_field(field)?) {
            Ok(count) => Ok(count),
            Err(_) => self.error_at(at, format!("`{field}` is negative")),
        }
    }

    fn utf8(&self, from: usize, to: usize) -> Result<&'a str> {
        std::str::from_utf8(&self.bytes[from..to])
            .or_else(|error| self.error_at(from + error.valid_up_to(), "string is not UTF-8"))
    }

    #[cold]
    fn unescape(&mut self, scratch: &mut String) -> Result<()> {
        scratch.clear();
        let start = self.at;
        let mut plain = self.at;
        loop {
            match self.bytes.get(self.at) {
                None => return self.error_at(start - 1, "string without an end"),
                Some(b'"') => {
                    scratch.push_str(self.utf8(plain, self.at)?);
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    scratch.push_str(self.utf8(plain, self.at)?);
                    scratch.push(self.escape()?);
                    plain = self.at;
                }
                Some(0..0x20) => return self.error("control character in a string"),
                Some(_) => self.at += 1,
            }
        }
    }

    /// One escape, from its backslash on. Half a surrogate pair reads as U+FFFD.
    fn escape(&mut self) -> Result<char> {
        let kind = self.bytes.get(self.at + 1).copied();
        self.at += 2;
        Ok(match kind {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'u') => {
                let first = self.hex4()?;
                let low = || self.bytes.get(self.at..self.at + 2) == Some(b"\\u");
                if (0xd800..0xdc00).contains(&first) && low() {
                    let back = self.at;
                    self.at += 2;
                    let second = self.hex4()?;
                    if (0xdc00..0xe000).contains(&second) {
                        return Ok(char::from_u32(
                            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                        )
                        .unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at = back;
                }
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return self.error_at(self.at - 2, "unknown escape in a string"),
        })
    }

    fn hex4(&mut self) -> Result<u32> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let value = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match value {
            Some(value) => {
                self.at += 4;
                Ok(value)
            }
            None => self.error("expected four hexadecimal digits"),
        }
    }

    /// Goes over any one value. Without recursion, so that hostile nesting cannot exhaust the stack.
    pub(crate) fn skip(&mut self) -> Result<()> {
        let mut scratch = String::new();
        // One bit a level: 1 = object.
        let (mut kinds, mut depth) = (0u64, 0u32);
        loop {
            // A value, or the opening of one.
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    if depth == 64 {
                        return self.error("more than 64 levels of nesting");
                    }
                    depth += 1;
                    kinds = kinds << 1 | u64::from(open == b'{');
                    if !self.eat(if open == b'{' { b'}' } else { b']' }) {
                        if open == b'{' {
                            self.key(&mut scratch)?;
                        }
                        continue;
                    }
                    depth -= 1;
                    kinds >>= 1;
                }
                Some(b'"') => {
                    self.string(&mut scratch)?;
                }
                _ => self.skip_scalar()?,
            }
            // What may follow a value.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = kinds & 1 == 1;
                if self.eat(b',') {
                    if object {
                        self.key(&mut scratch)?;
                    }
                    break;
                }
                if !self.eat(if object { b'}' } else { b']' }) {
                    return self.expected(if object { "`,` or `}`" } else { "`,` or `]`" });
                }
                depth -= 1;
                kinds >>= 1;
            }
        }
    }

    fn key(&mut self, scratch: &mut String) -> Result<()> {
        if self.peek() != Some(b'"') {
            return self.expected("a field name");
        }
        self.string(scratch)?;
        self.expect(b':')
    }

    fn skip_scalar(&mut self) -> Result<()> {
        let words = [
            "true",
            "false",
            "null",
            "NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "-nan",
            "inf",
            "-inf",
        ];
        if self.eat_number().is_some() || words.iter().any(|word| self.eat_word(word)) {
            return Ok(());
        }
        self.expected("a value")
    }
}

/// How many bytes there are before the first that is not ASCII, a control character, a quote or a backslash.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    let (eights, _) = bytes.as_chunks::<8>();
    for (index, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let hits = (eight | to_escape(eight)) & TOPS;
        if hits != 0 {
            return 8 * index + (hits.trailing_zeros() / 8) as usize;
        }
    }
    let rest = 8 * eights.len();
    let is_plain = |byte: &u8| (0x20..0x80).contains(byte) && !matches!(byte, b'"' | b'\\');
    rest + bytes[rest..]
        .iter()
        .take_while(|byte| is_plain(byte))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place, against a look at each byte.
    #[test]
    fn plain_ends_where_it_should() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    bytes[length - 1] = if place == length - 1 { byte } else { b'"' };
                    let plain = |byte: &u8| {
                        byte.is_ascii() && *byte >= b' ' && *byte != b'"' && *byte != b'\\'
                    };
                    let expected = bytes.iter().position(|byte| !plain(byte)).unwrap_or(length);
                    assert_eq!(plain_prefix(&bytes), expected, "{bytes:?}");
                }
            }
        }
    }
}
