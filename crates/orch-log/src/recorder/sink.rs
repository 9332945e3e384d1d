//! The trace file: one record, one `write(2)`, and what happens when that fails.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};

use super::Status;
use crate::format::text;

/// An `O_APPEND` descriptor and its counters. No lock: the kernel orders the writes.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    /// Escaped for JSON.
    team: Vec<u8>,
    max_bytes: u64,
    /// Bytes asked for so far, written or not, so that the limit needs a single atomic operation.
    spent: AtomicU64,
    bytes: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
    payloads_dropped: AtomicU64,
    /// Losses that no `orch_log.dropped` record tells of yet.
    untold: AtomicU64,
    /// The file may end in the middle of a line: the next record starts with a line end of its own.
    torn: AtomicBool,
    first_error: AtomicI32,
    last_error: AtomicI32,
}

/// Why lines could not be written, and how many.
struct Failure {
    code: i32,
    lines: u64,
}

impl Failure {
    fn new(code: i32, rest: &[u8]) -> Self {
        Self {
            code,
            lines: rest.iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}

/// Of `lines`, of which only `count` bytes were written: the bytes that are done with, and whether the file
/// now ends inside a line. A line that lacks only its line end is whole.
fn whole_lines(lines: &[u8], count: usize) -> (usize, bool) {
    if lines.get(count) == Some(&b'\n') && count > 0 && lines[count - 1] != b'\n' {
        return (count + 1, true);
    }
    let whole = lines[..count]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    (whole, count > whole)
}

/// Stands for "the byte limit was reached" where error numbers are kept.
const LIMIT: i32 = -1;
/// Stands for "the device wrote over records".
const OVERTAKEN: i32 = -2;
/// Stands for "the device could not be asked".
const DEVICE: i32 = -3;
/// Stands for "the device had no room for a copy".
const NO_SNAPSHOT: i32 = -4;
/// Stands for "the device wrote over payloads".
const OVERTAKEN_PAYLOAD: i32 = -5;
/// Stands for "a pass did not end".
const NO_END: i32 = -6;
/// Stands for "the device came to an end before".
const NEVER_CAME: i32 = -7;
/// Stands for "no pass brought the payload".
const UNDELIVERED: i32 = -8;
/// Stands for "host memory where the device's should be".
const HOST_MEMORY: i32 = -9;
/// Stands for "no buffers for payloads".
const NO_BUFFERS: i32 = -10;

/// Why a record or a payload that a device was to bring is not in the trace.
#[cfg(feature = "cuda")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss(i32);

#[cfg(feature = "cuda")]
impl Loss {
    /// A call of CUDA's failed.
    pub(crate) const DEVICE: Self = Self(DEVICE);
    /// An address was of the host's memory.
    pub(crate) const HOST_MEMORY: Self = Self(HOST_MEMORY);
    /// A kernel crashed, or the program ended, before the device had written it.
    pub(crate) const NEVER_CAME: Self = Self(NEVER_CAME);
    /// A later record took its place before it was read.
    pub(crate) const OVERTAKEN: Self = Self(OVERTAKEN);
    /// The pass at whose end it was to be read had none.
    pub(crate) const NO_END: Self = Self(NO_END);
    /// There was no room for a copy on the device.
    pub(crate) const NO_SNAPSHOT: Self = Self(NO_SNAPSHOT);
    /// The pass had no end at which it was to be brought.
    pub(crate) const UNDELIVERED: Self = Self(UNDELIVERED);
    /// A later pass took the payload's place before it was read.
    pub(crate) const OVERTAKEN_PAYLOAD: Self = Self(OVERTAKEN_PAYLOAD);
    /// There was no memory on the host to bring it to.
    pub(crate) const NO_BUFFERS: Self = Self(NO_BUFFERS);
    /// The byte limit.
    pub(super) const LIMIT: Self = Self(LIMIT);

    pub(super) fn of(error: &io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl Sink {
    pub(super) fn open(
        path: &Path,
        team: &str,
        truncate: bool,
        max_bytes: Option<u64>,
    ) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let regular = file.metadata()?.is_file();
        if truncate && regular {
            file.set_len(0)?;
        }
        let mut escaped = Vec::new();
        text::push_escaped(&mut escaped, team);
        Ok(Self {
            file,
            team: escaped,
            max_bytes: max_bytes.unwrap_or(u64::MAX),
            spent: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            payloads_dropped: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            torn: AtomicBool::new(regular && !truncate && ends_inside_a_line(path)),
            first_error: AtomicI32::new(0),
            last_error: AtomicI32::new(0),
        })
    }

    /// Writes one line. True when it is in the file.
    pub(super) fn write(&self, line: &[u8]) -> bool {
        self.admit(line) && self.write_admitted(line, 1)
    }

    /// Asks the byte limit for a line; a refused one is counted as lost.
    pub(super) fn admit(&self, line: &[u8]) -> bool {
        let admitted = self.reserve(line.len() as u64);
        if !admitted {
            self.lose(1, LIMIT);
        }
        admitted
    }

    /// Writes whole lines that were admitted before, and already counted as written when they were held back.
    pub(super) fn write_held_back(&self, lines: &[u8], records: u64) {
        self.written.fetch_sub(records, Relaxed);
        self.write_admitted(lines, records);
    }

    /// Counts a line that is held back.
    pub(super) fn count_held_back(&self) {
        self.written.fetch_add(1, Relaxed);
    }

    /// Writes whole lines. True when all are in the file.
    pub(super) fn write_admitted(&self, lines: &[u8], records: u64) -> bool {
        let outcome = self.write_whole(lines);
        let lost = outcome
            .as_ref()
            .err()
            .map_or(0, |failure| records.min(failure.lines));
        self.written.fetch_add(records - lost, Relaxed);
        match outcome {
            Ok(()) => {
                if self.untold.load(Relaxed) != 0 {
                    self.tell();
                }
                true
            }
            Err(failure) => {
                self.lose(lost, failure.code);
                false
            }
        }
    }

    /// Takes `bytes` from the limit, if it still has them.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        self.max_bytes == u64::MAX
            || self.spent.fetch_add(bytes, Relaxed).saturating_add(bytes) <= self.max_bytes
    }

    /// Appends `lines` in one system call.
    ///
    /// A short write (full disk, file size limit) leaves half a line in the file. Writing the rest later
    /// would not mend it: another thread's record may lie between. So the half line is ended, and the record
    /// written again, whole, once; if that fails too, whoever writes next ends the line.
    fn write_whole(&self, lines: &[u8]) -> Result<(), Failure> {
        let mut rest = lines;
        let mut short_writes = 0;
        while !rest.is_empty() {
            let torn = self.torn.load(Relaxed);
            let outcome = if torn {
                (&self.file).write_vectored(&[IoSlice::new(b"\n"), IoSlice::new(rest)])
            } else {
                (&self.file).write(rest)
            };
            let count = match outcome {
                Ok(0) => return Err(Failure::new(libc::ENOSPC, rest)),
                Ok(count) => count - usize::from(torn),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failure::new(
                        error.raw_os_error().unwrap_or(libc::EIO),
                        rest,
                    ));
                }
            };
            self.bytes
                .fetch_add((count + usize::from(torn)) as u64, Relaxed);
            let (whole, torn_now) = whole_lines(rest, count);
            if torn != torn_now {
                self.torn.store(torn_now, Relaxed);
            }
            rest = &rest[whole..];
            short_writes += 1;
            if short_writes == 2 && !rest.is_empty() {
                return Err(Failure::new(libc::ENOSPC, rest));
            }
        }
        Ok(())
    }

    /// Counts lost records. The first loss is told at once, because a short record may still fit where a
    /// long one did not; later ones after the next record that is written, and at the end.
    #[cold]
    fn lose(&self, records: u64, code: i32) {
        self.remember(code);
        self.untold.fetch_add(records, Relaxed);
        if self.dropped.fetch_add(records, Relaxed) == 0 {
            self.tell();
        }
    }

    /// Counts a record that was never put together.
    #[cfg(any(feature = "candle", feature = "cuda"))]
    pub(super) fn refuse(&self) {
        self.lose(1, libc::EINVAL);
    }

    /// Counts records that a device was to bring.
    #[cfg(feature = "cuda")]
    pub(super) fn lose_device_records(&self, records: u64, why: Loss) {
        self.lose(records, why.0);
    }

    /// Counts payloads that a device was to bring. They come by the hundred: nothing tells of them before
    /// [`Sink::tell_of_payloads`].
    #[cfg(feature = "cuda")]
    pub(super) fn lose_device_payloads(&self, payloads: u64, why: Loss) {
        self.payloads_dropped.fetch_add(payloads, Relaxed);
        self.remember(why.0);
    }

    /// Tells of payloads that were counted before.
    #[cfg(feature = "cuda")]
    pub(super) fn tell_of_payloads(&self, payloads: u64) {
        self.untold.fetch_add(payloads, Relaxed);
        self.tell();
    }

    /// Counts a payload that could not be written.
    #[cold]
    pub(super) fn lose_payload(&self, error: Option<&io::Error>) {
        self.payloads_dropped.fetch_add(1, Relaxed);
        self.untold.fetch_add(1, Relaxed);
        self.remember(error.map_or(LIMIT, |error| error.raw_os_error().unwrap_or(libc::EIO)));
    }

    pub(super) fn count_payload_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn remember(&self, code: i32) {
        let _ = self.first_error.compare_exchange(0, code, Relaxed, Relaxed);
        self.last_error.store(code, Relaxed);
    }

    /// Attempts one `orch_log.dropped` record. It may exceed the byte limit: it is what tells of it.
    #[cold]
    pub(super) fn tell(&self) {
        let untold = self.untold.load(Relaxed);
        if untold == 0 {
            return;
        }
        let (records, payloads) = (
            self.dropped.load(Relaxed),
            self.payloads_dropped.load(Relaxed),
        );
        let reason = error_of(self.last_error.load(Relaxed))
            .map(|error| error.to_string())
            .unwrap_or_default();
        let mut line = Vec::with_capacity(256);
        dropped_record(&mut line, &self.team, records, payloads, &reason);
        if self.write_whole(&line).is_ok() {
            self.untold.fetch_sub(untold, Relaxed);
        }
    }

    /// Who logs, escaped for JSON.
    pub(super) fn team(&self) -> &[u8] {
        &self.team
    }

    /// Waits until the trace is on the disk. Pipes and terminals have none.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self.file.sync_data() {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINVAL | libc::ENOTSUP | libc::EROFS)
                ) =>
            {
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Whether somebody deleted the trace: then records still go to the file, but nobody can open it.
    fn deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|data| data.nlink() == 0)
    }

    pub(super) fn status(&self) -> Status {
        Status {
            deleted: self.deleted(),
            written: self.written.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            payloads_dropped: self.payloads_dropped.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            first_error: error_of(self.first_error.load(Relaxed)),
            last_error: error_of(self.last_error.load(Relaxed)),
        }
    }
}

/// The line that tells of lost records and payloads.
fn dropped_record(line: &mut Vec<u8>, team: &[u8], records: u64, payloads: u64, reason: &str) {
    line.extend_from_slice(b"{\"checkpoint\":\"orch_log.dropped\",\"team\":\"");
    line.extend_from_slice(team);
    let _ = write!(
        line,
        "\",\"token_idx\":0,\"dtype\":\"u64\",\"shape\":\"[2]\",\"values\":[{records},{payloads}],\"error\":"
    );
    text::push_string(line, reason);
    line.extend_from_slice(b"}\n");
}

fn error_of(code: i32) -> Option<io::Error> {
    match code {
        0 => None,
        LIMIT => Some(io::Error::new(
            ErrorKind::QuotaExceeded,
            "byte limit ORCH_LOG_MAX_BYTES reached",
        )),
        OVERTAKEN => Some(io::Error::other(
            "the device wrote faster than the host could read: set ORCH_LOG_CUDA_SLOTS or ORCH_LOG_CUDA_WAIT",
        )),
        NO_SNAPSHOT => Some(io::Error::other(
            "no room on the device for copies of tensors: set ORCH_LOG_CUDA_SNAPSHOTS",
        )),
        OVERTAKEN_PAYLOAD => Some(io::Error::other(
            "the device brought payloads faster than the host could write them: set ORCH_LOG_CUDA_BUFFERS or ORCH_LOG_CUDA_WAIT",
        )),
        NO_BUFFERS => Some(io::Error::other(
            "no host memory that CUDA can be told of for payloads: set ORCH_LOG_CUDA_BUFFERS",
        )),
        HOST_MEMORY => Some(io::Error::other(
            "an address is of the host's memory, where the device's should be",
        )),
        NEVER_CAME => Some(io::Error::other(
            "the device was asked for records that never came: a kernel crashed, or the program ended before",
        )),
        UNDELIVERED => Some(io::Error::other(
            "payloads are brought at the end of a pass, and one had none: call orch_log_cuda_step!",
        )),
        NO_END => Some(io::Error::other(
            "with ORCH_LOG_CUDA_MODE=side a pass is read at its end, and one had none: call orch_log_cuda_step!",
        )),
        DEVICE => Some(io::Error::other("a CUDA call failed")),
        code => Some(io::Error::from_raw_os_error(code)),
    }
}

/// Whether a crash left half a line at the end of the file. A file that cannot be read counts as whole.
fn ends_inside_a_line(path: &Path) -> bool {
    let mut last = [b'\n'];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last != *b"\n"
}
