//! Lines of a file, with their numbers and byte offsets.

use memchr::memmem::Finder;
use std::io::{self, BufRead, ErrorKind, Read};

/// The longest line that is read, in bytes; a longer one is skipped and reported.
///
/// All logits of a batch of 600 tokens as text stay below it; a file without line ends must not fill the
/// memory.
pub(crate) const MAX_LINE_BYTES: u64 = 1 << 30;

/// One line.
pub(crate) struct Line<'l> {
    /// The bytes without the line end.
    pub(crate) bytes: &'l [u8],
    /// 1-based.
    pub(crate) number: u64,
    /// Where it begins.
    pub(crate) offset_bytes: u64,
    /// False for a last line without a line end.
    pub(crate) terminated: bool,
    /// True where only a prefix of [`MAX_LINE_BYTES`] was kept.
    pub(crate) too_long: bool,
}

/// Reads lines from the front of a file.
pub(crate) struct Lines<R> {
    source: R,
    /// A line that is longer than what the source holds at once.
    line: Vec<u8>,
    /// Bytes of the source that the line given out last still borrows.
    lent: usize,
    number: u64,
    offset_bytes: u64,
    max_bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            line: Vec::new(),
            lent: 0,
            number: 0,
            offset_bytes: 0,
            max_bytes: MAX_LINE_BYTES,
        }
    }

    /// Bytes read so far.
    pub(crate) fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    /// The next line, or `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.source.consume(std::mem::take(&mut self.lent));
        let offset_bytes = self.offset_bytes;
        let end = memchr::memchr(b'\n', fill(&mut self.source)?);
        if let Some(end) = end.filter(|end| *end as u64 <= self.max_bytes) {
            self.lent = end + 1;
            self.offset_bytes += self.lent as u64;
            self.number += 1;
            let bytes = &fill(&mut self.source)?[..end];
            return Ok(Some(Line {
                bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes),
                number: self.number,
                offset_bytes,
                terminated: true,
                too_long: false,
            }));
        }
        self.line.clear();
        let mut limited = self.source.by_ref().take(self.max_bytes + 1);
        let read = limited.read_until(b'\n', &mut self.line)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.offset_bytes += read;
        self.number += 1;
        let mut terminated = self.line.last() == Some(&b'\n');
        let too_long = read > self.max_bytes && !terminated;
        if too_long {
            self.line.truncate(self.max_bytes as usize);
            terminated = self.skip_rest()?;
        } else if terminated {
            self.line.pop();
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        }
        Ok(Some(Line {
            bytes: &self.line,
            number: self.number,
            offset_bytes,
            terminated,
            too_long,
        }))
    }

    /// Passes over whole lines without `text`, as far as the source holds them at once: much faster than one by one. The next
    /// line may be without it all the same.
    pub(crate) fn pass_over_without(&mut self, text: &Finder<'_>) -> io::Result<()> {
        loop {
            self.source.consume(std::mem::take(&mut self.lent));
            let held = fill(&mut self.source)?;
            let found = text.find(held);
            let before = &held[..found.unwrap_or(held.len())];
            let Some(last) = memchr::memrchr(b'\n', before) else {
                return Ok(());
            };
            self.number += memchr::memchr_iter(b'\n', &held[..=last]).count() as u64;
            self.offset_bytes += last as u64 + 1;
            self.source.consume(last + 1);
            if found.is_some() {
                return Ok(());
            }
        }
    }

    /// Passes over the rest of a line; false where the file ends first.
    fn skip_rest(&mut self) -> io::Result<bool> {
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.source.consume(used);
            self.offset_bytes += used as u64;
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

/// What the source holds; it reads on only where that is nothing.
fn fill(source: &mut impl BufRead) -> io::Result<&[u8]> {
    while let Err(error) = source.fill_buf() {
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    source.fill_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_offsets_and_ends() {
        let mut lines = Lines::new(&b"ab\r\n\ncd"[..]);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push((
                line.bytes.to_vec(),
                line.number,
                line.offset_bytes,
                line.terminated,
            ));
        }
        assert_eq!(
            seen,
            [
                (b"ab".to_vec(), 1, 0, true),
                (b"".to_vec(), 2, 4, true),
                (b"cd".to_vec(), 3, 5, false),
            ]
        );
        assert_eq!(lines.offset_bytes(), 7);
    }

    #[test]
    fn lines_without_a_text_are_passed_over() {
        let words = [
            "x",
            "no",
            "yes",
            "",
            "noyes",
            "a long line without it",
            "ye",
        ];
        let text: Vec<&str> = (0..200).map(|i| words[i * i % 13 % 7]).collect();
        let joined = text.join("\n");
        let finder = Finder::new("yes");
        for capacity in [1, 3, 7, 64, 4096] {
            let source = io::BufReader::with_capacity(capacity, joined.as_bytes());
            let mut lines = Lines::new(source);
            let mut found = Vec::new();
            loop {
                lines.pass_over_without(&finder).unwrap();
                let Some(line) = lines.next().unwrap() else {
                    break;
                };
                if finder.find(line.bytes).is_some() {
                    found.push((line.number, line.offset_bytes, line.bytes.to_vec()));
                }
            }
            let mut expected = Vec::new();
            let mut offset = 0;
            for (number, line) in (1..).zip(&text) {
                if line.contains("yes") {
                    expected.push((number, offset, line.as_bytes().to_vec()));
                }
                offset += line.len() as u64 + 1;
            }
            assert_eq!(found, expected, "{capacity}");
            assert_eq!(lines.offset_bytes(), joined.len() as u64);
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept_in_memory() {
        let text = [&[b'x'; 100][..], b"\nshort\n", &[b'y'; 30]].concat();
        let mut lines = Lines::new(&text[..]);
        lines.max_bytes = 10;
        let line = lines.next().unwrap().unwrap();
        assert!(line.too_long && line.terminated && line.bytes.len() == 10);
        let line = lines.next().unwrap().unwrap();
        assert_eq!(
            (line.bytes, line.number, line.offset_bytes),
            (&b"short"[..], 2, 101)
        );
        assert!(!line.too_long);
        let line = lines.next().unwrap().unwrap();
        assert!(line.too_long && !line.terminated);
        assert!(lines.next().unwrap().is_none());
    }
}
