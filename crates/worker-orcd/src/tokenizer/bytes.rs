//! The byte alphabet of GPT-2: every byte written as a printable character.

/// The characters of bytes 0 to 255.
///
/// Printable Latin-1 stands for itself; the other 68 bytes, in order, are the characters from U+0100 on.
///
/// # Source
///
/// `bytes_to_unicode` of OpenAI's GPT-2, `encoder.py`.
pub(super) fn alphabet() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| match byte as u8 {
        printable @ (b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) => char::from(printable),
        _ => {
            let stand_in = char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER);
            next += 1;
            stand_in
        }
    })
}

/// The byte that a character of the alphabet stands for.
pub(super) fn byte(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => u8::try_from(code).ok(),
        // U+0100 to U+0120 are bytes 0 to 0x20, then 0x7F to 0xA0, then 0xAD.
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabet_and_byte_are_inverse() {
        let alphabet = alphabet();
        for value in 0..=u8::MAX {
            assert_eq!(
                byte(alphabet[usize::from(value)]),
                Some(value),
                "byte {value:#x}"
            );
        }
        // The three that everybody knows from printed vocabularies.
        assert_eq!(alphabet[usize::from(b' ')], 'Ġ');
        assert_eq!(alphabet[usize::from(b'\n')], 'Ċ');
        assert_eq!(alphabet[usize::from(b'\t')], 'ĉ');
        assert_eq!(byte('€'), None);
    }
}
