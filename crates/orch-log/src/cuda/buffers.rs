//! Host memory that a device brings payloads to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Mapped host memory that a lane's deliveries go to in turn: pass p has buffer p mod `count`. Lives as long as the
/// process, since what is on its way may still go there.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostBuffers {
    pub(super) data: *const u8,
    /// Of one buffer.
    pub(super) bytes: u64,
    pub(super) count: u64,
    /// For each buffer the pass that it holds, counted from 1 (0 while it is written), and how many bytes of it; then for each
    /// the last pass, counted from 1, that the host needs no more.
    pub(super) words: *const u64,
    /// The same for the device.
    pub(super) device_data: u64,
    pub(super) device_words: u64,
}

// SAFETY: memory that lives as long as the process, whose words are read and written atomically.
unsafe impl Send for HostBuffers {}

impl HostBuffers {
    /// The fewest buffers of a lane: the device fills one while the host writes another.
    pub(super) const LEAST: u64 = 4;
    /// More than that is no burst.
    const MOST: u64 = 256;

    /// How many buffers of `bytes` a lane gets when `left` bytes are left for all: half of them.
    pub(super) fn count_for(bytes: u64, left: u64) -> u64 {
        (left / 2 / bytes).clamp(Self::LEAST, Self::MOST)
    }

    /// Bytes of [`words`](Self::words).
    pub(super) fn words_bytes(count: u64) -> usize {
        24 * count as usize
    }

    fn word(&self, index: u64) -> &AtomicU64 {
        // SAFETY: three words for each buffer, aligned, alive for good; the device writes them too.
        unsafe { AtomicU64::from_ptr(self.words.add(index as usize).cast_mut()) }
    }

    /// The pass that the buffer of `pass` holds, counted from 1; 0 while it is written.
    pub(super) fn held(&self, pass: u64) -> u64 {
        self.word(2 * (pass % self.count)).load(Ordering::Acquire)
    }

    /// Where the buffer of `pass` begins, and how much of it is in use.
    pub(super) fn of_pass(&self, pass: u64) -> (*const u8, u64) {
        let buffer = pass % self.count;
        let nbytes = self.word(2 * buffer + 1).load(Ordering::Relaxed);
        // SAFETY: inside the buffers.
        let data = unsafe { self.data.add((buffer * self.bytes) as usize) };
        (data, nbytes.min(self.bytes))
    }

    /// Lets the device have the buffers of the passes from `from` up to, not including, `to`.
    fn release(&self, from: u64, to: u64) {
        for pass in to.saturating_sub(self.count).max(from)..to {
            let taken = 2 * self.count + pass % self.count;
            self.word(taken).store(pass + 1, Ordering::Release);
        }
    }

    /// Where the device finds what the host needs no more.
    pub(super) fn device_taken(&self) -> u64 {
        self.device_words + 16 * self.count
    }
}

/// The buffers of all lanes, by the lane's number. A lane whose passes grow gets larger ones; the older stay.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Vec<(u32, HostBuffers)>>, Mutex<BTreeSet<u32>>);

impl Deliveries {
    pub(super) fn add(&self, lane: u32, buffers: HostBuffers) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((lane, buffers));
    }

    /// There is no memory for what the lane would bring: nobody is to wait for it.
    pub(super) fn give_up(&self, lane: u32) {
        let mut given_up = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.insert(lane);
    }

    pub(super) fn is_given_up(&self, lane: u32) -> bool {
        let given_up = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.contains(&lane)
    }

    /// Those of one lane.
    pub(super) fn of(&self, lane: u32) -> LaneBuffers {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.iter().filter(|(of, _)| *of == lane);
        LaneBuffers(own.map(|(_, buffers)| *buffers).collect())
    }

    /// Bytes of all together.
    pub(super) fn bytes(&self) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(_, buffers)| buffers.bytes * buffers.count)
            .sum()
    }
}

/// All buffers that a lane has had.
pub(super) struct LaneBuffers(Vec<HostBuffers>);

impl LaneBuffers {
    /// Those that hold `pass`.
    pub(super) fn holding(&self, pass: u64) -> Option<&HostBuffers> {
        self.0.iter().find(|buffers| buffers.held(pass) == pass + 1)
    }

    /// Whether a later pass than this one has come. Passes of a lane come one after the other.
    pub(super) fn is_overtaken(&self, pass: u64) -> bool {
        let is_later =
            |buffers: &HostBuffers| (0..buffers.count).any(|other| buffers.held(other) > pass + 1);
        self.0.iter().any(is_later)
    }

    /// Lets the device have the buffers of the passes from `from` up to, not including, `to`.
    pub(super) fn release(&self, from: u64, to: u64) {
        for buffers in &self.0 {
            buffers.release(from, to);
        }
    }
}
