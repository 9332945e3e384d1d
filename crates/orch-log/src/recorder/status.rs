//! What became of a record, and of all of them.

use std::io;

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a dropped record is told only here and in `Recorder::status`"]
pub enum Logged {
    /// Handed to the operating system: survives the end of this process, however it ends.
    Written,
    /// Held back in this thread's buffer (`ORCH_LOG_BUFFER`).
    Buffered,
    /// Not wanted by the filter or the token set.
    Filtered,
    /// Could not be written; counted in [`Status::dropped`].
    Dropped,
}

/// What became of all records of a recorder so far.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Records written or buffered.
    pub written: u64,
    /// Records lost: disk full, limit reached, path gone.
    pub dropped: u64,
    /// Payloads lost; their records were written without `payload`.
    pub payloads_dropped: u64,
    /// Bytes of records and payloads handed to the operating system.
    pub bytes: u64,
    /// Whether the trace's file was deleted or replaced by a rename: records go where nobody can read them.
    pub deleted: bool,
    /// The first reason for a loss.
    pub first_error: Option<io::Error>,
    /// The last reason for a loss.
    pub last_error: Option<io::Error>,
}

impl Status {
    /// True when nothing was lost.
    pub fn is_complete(&self) -> bool {
        self.dropped == 0 && self.payloads_dropped == 0 && !self.deleted
    }
}
