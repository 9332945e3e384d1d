//! The memory in which a thread puts its lines together.

use std::cell::Cell;

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `work` with this thread's empty line buffer.
///
/// The buffer is taken out while it is used: a signal handler that logs in the middle of a record, or a
/// destructor that logs after thread-locals are gone, gets a fresh one instead of a corrupted or a
/// dead one.
pub(super) fn with_line<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut line = LINE.try_with(Cell::take).unwrap_or_default();
    line.clear();
    let result = work(&mut line);
    let _ = LINE.try_with(|slot| slot.set(line));
    result
}
