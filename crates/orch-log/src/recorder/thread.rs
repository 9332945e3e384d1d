//! Small numbers for threads, used again when a thread has ended.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads that can have a number at the same time.
pub(super) const THREADS: usize = 256;

/// One bit for each number in use.
static USED: [AtomicU64; THREADS / 64] = [const { AtomicU64::new(0) }; THREADS / 64];

thread_local! {
    static THIS: Claim = const { Claim(Cell::new(None)) };
}

/// A thread's number, given back when the thread ends.
struct Claim(Cell<Option<usize>>);

/// This thread's number; `None` with more than [`THREADS`] threads, and while a thread is ending.
pub(super) fn index() -> Option<usize> {
    THIS.try_with(|claim| {
        if claim.0.get().is_none() {
            claim.0.set(claim_lowest());
        }
        claim.0.get()
    })
    .ok()
    .flatten()
}

fn claim_lowest() -> Option<usize> {
    for (word, bits) in USED.iter().enumerate() {
        let mut before = bits.load(Ordering::Relaxed);
        while before != u64::MAX {
            let free = before.trailing_ones();
            match bits.compare_exchange_weak(
                before,
                before | 1 << free,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(word * 64 + free as usize),
                Err(now) => before = now,
            }
        }
    }
    None
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(index) = self.0.take() {
            // What this thread holds back for the global trace is written now, so that a thread
            // that ends loses nothing. Other recorders do so when they are dropped.
            if let Some(recorder) = crate::global::started() {
                recorder.flush_thread(index);
            }
            USED[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Release);
        }
    }
}
