//! For programs that install the callback themselves: what `cpp/orch_log_ggml.hpp` calls.
//!
//! Such a program may have ggml linked in statically, where nothing can be interposed; but it was compiled with ggml's
//! headers, so it hands over the functions and the layout instead of our having to find them. It sees no graph, only
//! nodes: a pass begins with the lookup of its tokens and ends with llama.cpp's `result_output`.

use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use crate::accessors::Accessors;
use crate::asked::asked;
use crate::context::Context;
use crate::guarded::guarded;
use crate::library::EvalCallback;
use crate::scheduler::UserCallback;
use crate::{origin, process};

/// `orch_log_ggml_engine` of the header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Engine {
    /// Bytes of this struct in the header that the program was compiled with.
    size: usize,
    pub(crate) accessors: Accessors,
    /// Offsets in `ggml_tensor`.
    pub(crate) flags: usize,
    pub(crate) src: usize,
    pub(crate) view_src: usize,
    pub(crate) data: usize,
    pub(crate) n_head: i32,
    pub(crate) n_head_kv: i32,
    pub(crate) key_length: i32,
    pub(crate) value_length: i32,
    pub(crate) n_layer: i32,
    /// `general.architecture`.
    pub(crate) architecture: *const c_char,
    /// The callback that was set before, and its data.
    pub(crate) next: Option<EvalCallback>,
    pub(crate) next_user_data: *mut c_void,
}

/// Prepares to capture a context. `capture` becomes the data for [`orch_log_ggml_node`], or null when there is nothing to do:
/// no trace is asked for, or this library is preloaded and sees the program's graphs anyway.
///
/// Returns null, or what is wrong, as a string that stays valid.
///
/// # Safety
///
/// `engine` and `capture` are valid; what `engine` refers to stays valid, `architecture` during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn orch_log_ggml_begin(
    engine: *const Engine,
    capture: *mut *mut c_void,
) -> *const c_char {
    // SAFETY: valid, says the caller.
    unsafe { *capture = ptr::null_mut() };
    // SAFETY: the size comes first in every version of the struct.
    let size = unsafe { engine.cast::<usize>().read() };
    guarded(c"a bug in the capture".as_ptr(), || {
        if !process::is_on() || origin::is_first(c"ggml_backend_sched_graph_compute") {
            return ptr::null();
        }
        if size != size_of::<Engine>() {
            return c"orch_log_ggml.hpp and the capture library are of different versions: use the header that \
                     came with the library"
                .as_ptr();
        }
        let Some(asked) = asked() else {
            return ptr::null();
        };
        // SAFETY: of our version, and valid, says the caller.
        let problem = match unsafe { Context::begin(asked, &*engine) } {
            Ok(begun) => {
                // SAFETY: valid, says the caller.
                unsafe { *capture = ptr::from_ref(begun).cast_mut().cast() };
                asked.problems.clone()
            }
            Err(error) => {
                let path = asked.log.path.display();
                format!("the trace `{path}` cannot be opened ({error}); nothing is captured")
            }
        };
        match CString::new(problem) {
            Ok(text) if !text.is_empty() => text.into_raw().cast_const(),
            _ => ptr::null(),
        }
    })
}

/// The eval callback.
///
/// # Safety
///
/// `data` comes from [`orch_log_ggml_begin`]; the rest as ggml says.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn orch_log_ggml_node(
    tensor: *mut c_void,
    ask: bool,
    data: *mut c_void,
) -> bool {
    // SAFETY: never freed.
    let context = unsafe { &*data.cast::<Context>() };
    // SAFETY: as ggml would call it.
    let call_next = |next: UserCallback| unsafe { (next.function)(tensor, ask, next.user_data) };
    if ask {
        let next_wants = context.next.is_some_and(call_next);
        context.next_wants.store(next_wants, Relaxed);
        // SAFETY: ggml's own argument.
        return unsafe { context.node(tensor, true) } || next_wants;
    }
    // SAFETY: ggml's own argument.
    unsafe { context.node(tensor, false) };
    match context.next {
        Some(next) if context.next_wants.load(Relaxed) => call_next(next),
        _ => true,
    }
}
