//! Sizes such as `64K` and `2G`.

/// Bytes, from a count with an optional suffix `K`, `M`, `G` or `T` (powers of 1024, any case, also
/// `KB` and `KiB`). `None` for anything else, and on overflow.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let count: u64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    count.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn suffixes() {
        assert_eq!(bytes("4096"), Some(4096));
        assert_eq!(bytes(" 64K"), Some(65536));
        assert_eq!(bytes("2 GiB"), Some(2 << 30));
        for bad in [
            "",
            "K",
            "-1",
            "1.5M",
            "1X",
            "99999999T",
            "18446744073709551616",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
