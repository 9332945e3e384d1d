//! The border to foreign code: a bug of ours ends the capture, never the program.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::process;

/// Runs our own code; `otherwise` when it panics, and then nothing more is captured.
pub(crate) fn guarded<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    // What was left half done is not looked at again: every use asks first whether capturing is on.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        process::switch_off();
        otherwise
    })
}
