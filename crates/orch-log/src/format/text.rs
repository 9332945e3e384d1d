//! JSON strings.

use super::short::push_short;

/// Appends `text` as a JSON string.
#[inline]
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` without the quotes, escaped. Everything but `"`, `\` and control characters stays
/// as it is: a trace is UTF-8.
#[inline]
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        push_short(out, text.as_bytes());
    } else {
        push_escaped_slowly(out, text);
    }
}

/// Whether no byte needs escaping. Names are short and come with every record, so eight bytes at a time.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    match bytes.last_chunk::<8>() {
        // The last eight bytes may overlap the words before.
        Some(last) => words
            .iter()
            .chain([last])
            .all(|word| is_plain_word(u64::from_le_bytes(*word))),
        None => rest
            .iter()
            .all(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\'),
    }
}

#[inline]
const fn is_plain_word(word: u64) -> bool {
    to_escape(word) & TOPS == 0
}

/// The highest bit of each byte of a word.
pub(super) const TOPS: u64 = (u64::MAX / 255) << 7;

/// Sets the highest bit of the first byte of eight, in memory's order on a little-endian machine, that is a control character, a
/// quote or a backslash; without one none is set. Bytes after the first may be marked wrongly, as subtracting borrows from
/// the next one, and other bits mean nothing.
///
/// # Source
///
/// "Determine if a word has a byte less than n" and "… equal to n", S. E. Anderson, "Bit Twiddling Hacks".
#[inline]
pub(super) const fn to_escape(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES * limit as u64) & !word
    }
    let controls = below(word, 0x20);
    let quotes = below(word ^ (ONES * b'"' as u64), 1);
    let backslashes = below(word ^ (ONES * b'\\' as u64), 1);
    controls | quotes | backslashes
}

#[cold]
fn push_escaped_slowly(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let mut out = Vec::new();
        push_string(&mut out, "a\"b\\c\n\u{1}é漢");
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            r#""a\"b\\c\n\u0001é漢""#
        );
    }
    #[test]
    fn every_byte_at_every_place() {
        for length in 1..20 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    let plain = byte >= 0x20 && byte != b'"' && byte != b'\\';
                    assert_eq!(is_plain(&bytes), plain, "{byte} at {place} of {length}");
                }
            }
        }
    }
}
