//! llama.cpp's global state: started once, its log lines kept instead of printed.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, Once, PoisonError};

use llama_cpp_sys_2 as sys;

/// How many error lines an error carries: the first says what, the rest what followed from it.
const KEPT_LINES: usize = 4;

static START: Once = Once::new();
static LINES: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Starts llama.cpp and takes over its log.
pub(crate) fn start() {
    START.call_once(|| {
        // SAFETY: the callback lives forever and takes no user data.
        unsafe {
            sys::llama_log_set(Some(keep_line), std::ptr::null_mut());
            sys::llama_backend_init();
        }
    });
}

/// Version of the linked ggml, `0.26.0`.
pub fn version() -> String {
    // SAFETY: ggml returns a static string.
    unsafe { CStr::from_ptr(sys::ggml_version()) }
        .to_string_lossy()
        .into_owned()
}

/// Forgets what was logged; call before an operation whose failure is to be explained.
pub(crate) fn forget_log() {
    lines().clear();
}

/// The error lines since [`forget_log`].
pub(crate) fn error_log() -> Vec<String> {
    lines().drain(..).collect()
}

fn lines() -> std::sync::MutexGuard<'static, VecDeque<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn keep_line(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if level != sys::GGML_LOG_LEVEL_ERROR || text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a NUL-terminated string that lives for the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim();
    let mut lines = lines();
    if !text.is_empty() && lines.len() < KEPT_LINES {
        lines.push_back(text.to_owned());
    }
}
