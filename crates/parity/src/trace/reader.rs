//! Records of a trace in file order.

use super::lines::{Line, Lines};
use super::store::Trace;
use crate::error::Error;
use memchr::memmem::Finder;
use orch_log::format::{Record, parse_line_into};
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

/// A record and where it was found.
#[derive(Clone, Debug, Default)]
pub struct Located {
    /// The record.
    pub record: Record,
    /// 1-based line; 0 for a record that was read again by its offset.
    pub line: u64,
    /// Where the line begins.
    pub offset_bytes: u64,
    /// True where a number was written as `null` or bare `NaN`.
    pub lenient_numbers: bool,
}

/// A line that is not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// 1-based line.
    pub line: u64,
    /// 1-based column, in bytes.
    pub column: usize,
    /// What was wrong there.
    pub message: String,
    /// True for a last line without a line end: the writer was cut off.
    pub half_written: bool,
}

/// One line that is not blank.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A record.
    Record(Arc<Located>),
    /// Anything else.
    Malformed(Malformed),
}

/// Reads a trace from its beginning, one line in memory at a time.
pub struct Records<'t> {
    trace: &'t Trace,
    lines: Lines<BufReader<File>>,
    /// Records that nobody needs any more: their memory is used again.
    spare: Vec<Arc<Located>>,
}

/// Big enough that system calls do not show, small enough not to matter.
const BUFFER_BYTES: usize = 256 << 10;

impl<'t> Records<'t> {
    pub(super) fn new(trace: &'t Trace, file: File) -> Self {
        Self {
            trace,
            lines: Lines::new(BufReader::with_capacity(BUFFER_BYTES, file)),
            spare: Vec::new(),
        }
    }

    /// Takes records back whose memory is used again; those that somebody still holds are let go.
    pub(super) fn reuse(&mut self, records: Vec<Arc<Located>>) {
        self.spare = records;
        self.spare
            .retain_mut(|located| Arc::get_mut(located).is_some());
    }

    /// Bytes read so far.
    pub fn offset_bytes(&self) -> u64 {
        self.lines.offset_bytes()
    }

    /// The next record or malformed line; blank lines are passed over.
    ///
    /// # Errors
    ///
    /// When the file cannot be read further.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator of results hides that errors are final"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, Error> {
        self.next_where(None)
    }

    /// As [`Records::next`], passing over lines that do not hold `text`.
    pub(crate) fn next_with(&mut self, text: &Finder<'_>) -> Result<Option<Entry>, Error> {
        self.next_where(Some(text))
    }

    fn next_where(&mut self, text: Option<&Finder<'_>>) -> Result<Option<Entry>, Error> {
        loop {
            let offset_bytes = self.lines.offset_bytes();
            let failed = |source| self.trace.read_error(offset_bytes, source);
            if let Some(text) = text {
                self.lines.pass_over_without(text).map_err(failed)?;
            }
            let line = self.lines.next().map_err(failed)?;
            let wanted = |line: &[u8]| text.is_none_or(|text| text.find(line).is_some());
            match line {
                None => return Ok(None),
                Some(line) if line.bytes.trim_ascii().is_empty() || !wanted(line.bytes) => {}
                Some(line) => return Ok(Some(entry(&line, &mut self.spare))),
            }
        }
    }
}

fn entry(line: &Line<'_>, spare: &mut Vec<Arc<Located>>) -> Entry {
    let malformed = |column, message| {
        Entry::Malformed(Malformed {
            line: line.number,
            column,
            message,
            half_written: !line.terminated,
        })
    };
    if line.too_long {
        return malformed(
            line.bytes.len() + 1,
            "the line is longer than 1 GiB".to_owned(),
        );
    }
    let mut located = spare.pop().unwrap_or_default();
    // A spare one that somebody holds after all is left to them.
    let own = Arc::make_mut(&mut located);
    match parse_line_into(line.bytes, &mut own.record) {
        Ok(lenient_numbers) => {
            own.line = line.number;
            own.offset_bytes = line.offset_bytes;
            own.lenient_numbers = lenient_numbers;
            Entry::Record(located)
        }
        Err(error) => malformed(error.column, error.message),
    }
}
