//! Buffered mode: whole lines held back in memory, one buffer a thread.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fork::process_id;
use super::sink::Sink;
use super::thread::{self, THREADS};

/// The buffers of a recorder. A thread appends to its own, so nobody waits; only `flush` touches the
/// others'.
#[derive(Debug)]
pub(super) struct Buffers {
    slots: Box<[Slot]>,
    capacity: usize,
}

#[derive(Debug)]
struct Slot {
    /// The process that the lines belong to, times two, plus one while somebody works on them.
    state: AtomicU64,
    lines: UnsafeCell<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    records: u64,
}

// SAFETY: `lines` is reached only through `Slot::try_with`, which lets one thread in at a time.
unsafe impl Sync for Slot {}

impl Buffers {
    pub(super) fn new(capacity: usize) -> Self {
        let slot = || Slot {
            state: AtomicU64::new(0),
            lines: UnsafeCell::default(),
        };
        Self {
            slots: std::iter::repeat_with(slot).take(THREADS).collect(),
            capacity,
        }
    }

    /// Holds a line back, after writing out what has no room beside it. False when it could not: too
    /// long, too many threads, or this thread's buffer is being flushed by another (or this runs in a signal
    /// handler that interrupted its own thread's append). Then the line has to be written at once.
    pub(super) fn append(&self, line: &[u8], sink: &Sink) -> bool {
        if line.len() > self.capacity {
            self.flush_this_thread(sink);
            return false;
        }
        let Some(slot) = thread::index().and_then(|index| self.slots.get(index)) else {
            return false;
        };
        slot.try_with(|lines| {
            if lines.bytes.len() + line.len() > self.capacity {
                lines.write_out(sink);
            }
            if lines.bytes.capacity() == 0 {
                lines.bytes.reserve_exact(self.capacity);
            }
            lines.bytes.extend_from_slice(line);
            lines.records += 1;
        })
        .is_some()
    }

    pub(super) fn flush_this_thread(&self, sink: &Sink) {
        if let Some(slot) = thread::index().and_then(|index| self.slots.get(index)) {
            slot.try_with(|lines| lines.write_out(sink));
        }
    }

    /// Writes out what the thread with this index holds back, if nobody else is at it.
    pub(super) fn flush_thread(&self, index: usize, sink: &Sink) {
        if let Some(slot) = self.slots.get(index) {
            slot.try_with(|lines| lines.write_out(sink));
        }
    }

    /// Writes out what all threads hold back. Waits for a thread that is appending, but no longer than a
    /// second in all: it could be one that a signal handler interrupted, or that was stopped.
    pub(super) fn flush_all(&self, sink: &Sink) {
        let start = std::time::Instant::now();
        for slot in &self.slots {
            while slot.try_with(|lines| lines.write_out(sink)).is_none()
                && start.elapsed().as_secs() < 1
            {
                std::thread::yield_now();
            }
        }
    }
}

impl Slot {
    /// Runs `work` on the lines, or returns `None` when somebody else is at them.
    ///
    /// Lines of another process are a parent's, which will write them itself: after a fork they are forgotten here,
    /// and so is the mark of a thread that was at them and does not exist in the child.
    fn try_with<R>(&self, work: impl FnOnce(&mut Lines) -> R) -> Option<R> {
        let free = u64::from(process_id()) << 1;
        let (busy, before) = (free | 1, self.state.load(Ordering::Relaxed));
        if before == busy
            || self
                .state
                .compare_exchange(before, busy, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            return None;
        }
        // SAFETY: the exchange above lets one thread of this process in until the store below.
        let lines = unsafe { &mut *self.lines.get() };
        if before != free {
            lines.bytes.clear();
            lines.records = 0;
        }
        let result = work(lines);
        self.state.store(free, Ordering::Release);
        Some(result)
    }
}

impl Lines {
    fn write_out(&mut self, sink: &Sink) {
        if !self.bytes.is_empty() {
            sink.write_held_back(&self.bytes, self.records);
            self.bytes.clear();
            self.records = 0;
        }
    }
}
