//! A trace read by a thread of its own, a little ahead of whoever uses it.

use super::reader::{Entry, Located, Records};
use crate::error::Error;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes of text whose records travel together: handing over costs little then, and the reader is never far ahead.
///
/// A longer line travels alone. At most three batches of a trace exist: one in the making, one that waits, one in use.
const BATCH_BYTES: u64 = 64 << 10;

/// Records with more values are not used again: the memory of a few long ones would end up in all.
const REUSED_VALUES: usize = 64;

/// So many records wait to be used again; of a trace that has been read to its end they would be held for nothing.
const REUSED_RECORDS: usize = 1024;

/// Some entries in a row.
struct Batch {
    entries: Vec<Entry>,
    /// Bytes of the trace up to the last of them.
    offset_bytes: u64,
    /// Why the trace could not be read further.
    error: Option<Error>,
}

/// Where the reading thread puts its batches.
pub(crate) struct Batches {
    batches: SyncSender<Batch>,
    /// Records that the other side has done with.
    used: Receiver<Vec<Arc<Located>>>,
}

/// Entries that another thread reads.
pub(crate) struct ReadAhead {
    batches: Receiver<Batch>,
    used: Vec<Arc<Located>>,
    give_back: Sender<Vec<Arc<Located>>>,
    entries: std::vec::IntoIter<Entry>,
    offset_bytes: u64,
    error: Option<Error>,
}

impl ReadAhead {
    /// Both ends; the trace has been read up to `offset_bytes`.
    pub(crate) fn channel(offset_bytes: u64) -> (Batches, Self) {
        let (sender, batches) = sync_channel(1);
        let (give_back, used) = channel();
        let ahead = Self {
            batches,
            used: Vec::new(),
            give_back,
            entries: Vec::new().into_iter(),
            offset_bytes,
            error: None,
        };
        let batches = Batches {
            batches: sender,
            used,
        };
        (batches, ahead)
    }

    /// As [`Records::next`].
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            // The sender is gone at the end of the trace; a panic of its thread goes on where the threads are joined.
            if !self.used.is_empty() {
                // Whoever has read to the end needs no memory.
                let _ = self.give_back.send(std::mem::take(&mut self.used));
            }
            let Ok(batch) = self.batches.recv() else {
                return Ok(None);
            };
            self.entries = batch.entries.into_iter();
            (self.offset_bytes, self.error) = (batch.offset_bytes, batch.error);
        }
    }

    /// Takes back a record that has been dealt with; its memory is used for a later one.
    pub(crate) fn give_back(&mut self, located: Arc<Located>) {
        let is_short = located.record.values.capacity() <= REUSED_VALUES;
        if is_short && self.used.len() < REUSED_RECORDS {
            self.used.push(located);
        }
    }

    /// Bytes of the batches taken so far.
    pub(crate) fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }
}

impl Batches {
    /// Sends what is left of `records` and `wanted`, which is asked for each in turn; false where the trace could not be read
    /// to its end or nobody listens any more.
    pub(crate) fn send_all(
        self,
        mut records: Records<'_>,
        mut wanted: impl FnMut(&Entry) -> bool,
    ) -> bool {
        let mut is_whole = false;
        let mut goes_on = true;
        let mut length = 0;
        while goes_on {
            let begin = records.offset_bytes();
            if let Ok(used) = self.used.try_recv() {
                records.reuse(used);
            }
            let mut batch = Batch {
                entries: Vec::with_capacity(length),
                offset_bytes: begin,
                error: None,
            };
            while goes_on && records.offset_bytes() - begin < BATCH_BYTES {
                match records.next() {
                    Ok(Some(entry)) => {
                        if wanted(&entry) {
                            batch.entries.push(entry);
                        }
                    }
                    Ok(None) => (is_whole, goes_on) = (true, false),
                    Err(error) => (batch.error, goes_on) = (Some(error), false),
                }
            }
            batch.offset_bytes = records.offset_bytes();
            length = batch.entries.len();
            if self.batches.send(batch).is_err() {
                return false;
            }
        }
        is_whole
    }
}
