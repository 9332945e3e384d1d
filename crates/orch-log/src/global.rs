//! The recorder that the environment asks for.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};

use crate::recorder::{Recorder, process_id};
use crate::settings::Settings;

/// Null before the first use, `OFF` without a trace, else a recorder that lives as long as the process.
static GLOBAL: AtomicPtr<Recorder> = AtomicPtr::new(ptr::null_mut());

/// An address that no recorder can have.
const OFF: *mut Recorder = ptr::without_provenance_mut(align_of::<Recorder>());

/// The process that opened the recorder.
static OPENED_BY: AtomicU32 = AtomicU32::new(0);

/// The recorder of this process: a trace at `ORCH_LOG_FILE`, opened at the first call; `None` when that
/// is unset or cannot be opened.
///
/// It is never closed, so that it serves also while a process is ending. An existing trace is appended
/// to: several processes may log into one file.
#[inline]
pub fn global() -> Option<&'static Recorder> {
    let current = GLOBAL.load(Ordering::Relaxed);
    if current == OFF {
        return None;
    }
    if current.is_null() {
        return start();
    }
    fence(Ordering::Acquire);
    // SAFETY: neither null nor `OFF`, so it is from `Box::into_raw` in `start`, which published it with
    // `Release`; it is never freed.
    Some(unsafe { &*current })
}

/// The recorder of this process, if one was already opened.
pub(crate) fn started() -> Option<&'static Recorder> {
    let current = GLOBAL.load(Ordering::Relaxed);
    if current.is_null() { None } else { global() }
}

/// Opens the trace. Threads that come here together each open it, and all but the first drop theirs:
/// nobody waits, so a fork in the middle of this cannot leave a lock behind.
#[cold]
fn start() -> Option<&'static Recorder> {
    let (recorder, complaints) = open();
    let fresh = recorder.map_or(OFF, |recorder| Box::into_raw(Box::new(recorder)));
    match GLOBAL.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            complain(&complaints);
            if fresh != OFF {
                OPENED_BY.store(process_id(), Ordering::Relaxed);
                // SAFETY: a function that lives as long as the program.
                unsafe { libc::atexit(tell_at_exit) };
            }
        }
        Err(_) if fresh != OFF => {
            // SAFETY: from `Box::into_raw` above and not published.
            drop(unsafe { Box::from_raw(fresh) });
        }
        Err(_) => {}
    }
    global()
}

/// What was lost last has no record after it that would tell of it. A forked child has the counts of its parent, who tells
/// of them.
extern "C" fn tell_at_exit() {
    if OPENED_BY.load(Ordering::Relaxed) == process_id()
        && let Some(recorder) = started()
    {
        recorder.tell_losses();
    }
}

fn open() -> (Option<Recorder>, Vec<String>) {
    let Some((settings, problems)) = Settings::from_lookup(|name| std::env::var_os(name)) else {
        return (None, Vec::new());
    };
    let mut complaints: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let path = settings.path.clone();
    let recorder = Recorder::append(settings)
        .map_err(|error| {
            complaints.push(format!(
                "ORCH_LOG_FILE=`{}` cannot be opened ({error}); nothing is logged",
                path.display()
            ))
        })
        .ok();
    (recorder, complaints)
}

/// The one line that the logger ever prints, when settings cannot be used. A closed stderr is no reason to
/// stop.
pub(crate) fn complain(complaints: &[String]) {
    use std::io::Write;
    if !complaints.is_empty() {
        let _ = writeln!(io::stderr(), "orch_log: {}", complaints.join("; "));
    }
}

/// Returns when everything that this process logged is on the disk (`fsync`). Without a trace, at once.
///
/// # Errors
///
/// The operating system could not write it.
pub fn flush_logs() -> io::Result<()> {
    started().map_or(Ok(()), Recorder::flush)
}
