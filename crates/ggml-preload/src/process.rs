//! What happens when the library enters and leaves a process.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::status::{Kind, tell};
use crate::{context, hook, symbols};

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
#[used]
#[cfg_attr(not(test), unsafe(link_section = ".init_array"))]
static ENTER: extern "C" fn() = enter;

/// The loader calls this after `exit`. It must not be asked for anything meanwhile, see [`symbols`].
#[used]
#[cfg_attr(not(test), unsafe(link_section = ".fini_array"))]
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
    context::finish();
    if SEEN.load(Relaxed) {
        hook::finish();
        return;
    }
    // In the program itself it was found before the program ran.
    if let Some(object) =
        symbols::definer(c"ggml_backend_sched_new").filter(|path| !path.is_empty())
    {
        tell(Kind::Unseen, OsStr::from_bytes(object.to_bytes()));
    }
}
