//! What happens when the library enters and leaves a process.

use std::ffi::{CStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::status::{Kind, tell};
use crate::{hook, origin};

/// Whether a trace is asked for.
static ON: AtomicBool = AtomicBool::new(false);

/// Whether a graph went through us in this process.
static SEEN: AtomicBool = AtomicBool::new(false);

/// Whether this process is to be captured. One load.
pub(crate) fn is_on() -> bool {
    ON.load(Relaxed)
}

/// Stops capturing: from now on every call is handed through.
pub(crate) fn switch_off() {
    ON.store(false, Relaxed);
}

/// A graph went through us. True for the first one.
pub(crate) fn saw_graph() -> bool {
    !SEEN.swap(true, Relaxed)
}

/// The loader calls this before `main`.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

/// The loader calls this after `exit`.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static LEAVE: extern "C" fn() = leave;

extern "C" fn enter() {
    // The default hook prints. This copy of the standard library is ours alone, the program's is not touched.
    std::panic::set_hook(Box::new(|panic| {
        tell(Kind::Problem, format!("a bug in the capture: {panic}"))
    }));
    if std::env::var_os("ORCH_LOG_FILE").is_some_and(|path| !path.is_empty()) {
        ON.store(true, Relaxed);
        let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        tell(Kind::Loaded, program);
    }
}

extern "C" fn leave() {
    if !is_on() {
        return;
    }
    if SEEN.load(Relaxed) {
        hook::finish();
        return;
    }
    if let Some(path) = loaded_ggml() {
        tell(Kind::Unseen, path);
    }
}

/// The loaded object that defines ggml's scheduler.
fn loaded_ggml() -> Option<std::path::PathBuf> {
    let symbol: &CStr = c"ggml_backend_sched_new";
    let found: *mut c_void = origin::loaded_objects()
        .iter()
        .find_map(|object| origin::in_object(object, symbol))?;
    let object = origin::object_at(found)?;
    Some(Path::new(std::ffi::OsStr::from_bytes(object.path.to_bytes())).to_owned())
}
