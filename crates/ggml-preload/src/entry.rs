//! The functions that the program calls in place of ggml's.
//!
//! Newer llama.cpp sets its callback only when it rebuilds a graph, and whisper.cpp never does, so ours is installed
//! when a graph is computed, which is also where a pass begins and ends. The program's own callback is remembered when it
//! is set, and called beside ours.
//!
//! Each function hands the address that it returns to, which tells which object called and so which copy of ggml is
//! meant, to a second function of the same arguments. Only a function without a prologue can read that address.

use std::arch::naked_asm;
use std::cell::Cell;
use std::ffi::{c_int, c_void};

use crate::library::{self, EvalCallback, GraphCompute, Library};
use crate::scheduler::{self, UserCallback};
use crate::{hook, process};

/// `ggml_backend_sched_set_eval_callback`.
///
/// # Safety
///
/// As ggml's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ggml_backend_sched_set_eval_callback(
    scheduler: *mut c_void,
    callback: Option<EvalCallback>,
    user_data: *mut c_void,
) {
    naked_asm!("mov rcx, [rsp]", "jmp {}", sym set_eval_callback)
}

/// `ggml_backend_sched_graph_compute`.
///
/// # Safety
///
/// As ggml's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ggml_backend_sched_graph_compute(
    scheduler: *mut c_void,
    graph: *mut c_void,
) -> c_int {
    naked_asm!("mov rdx, [rsp]", "jmp {}", sym graph_compute)
}

/// `ggml_backend_sched_graph_compute_async`.
///
/// # Safety
///
/// As ggml's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ggml_backend_sched_graph_compute_async(
    scheduler: *mut c_void,
    graph: *mut c_void,
) -> c_int {
    naked_asm!("mov rdx, [rsp]", "jmp {}", sym graph_compute_async)
}

/// `ggml_backend_sched_free`.
///
/// # Safety
///
/// As ggml's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ggml_backend_sched_free(scheduler: *mut c_void) {
    naked_asm!("mov rsi, [rsp]", "jmp {}", sym free)
}

/// `GGML_STATUS_FAILED`
const FAILED: c_int = -1;

unsafe extern "C-unwind" fn set_eval_callback(
    scheduler: *mut c_void,
    callback: Option<EvalCallback>,
    user_data: *mut c_void,
    caller: *const c_void,
) {
    let Some(library) = library::behind_caller(caller) else {
        return;
    };
    if process::is_on() {
        let user = callback.map(|function| UserCallback {
            function,
            user_data,
        });
        scheduler::at(scheduler, library).set_user(user);
    }
    // SAFETY: the program's own arguments.
    unsafe { (library.set_eval_callback)(scheduler, callback, user_data) }
}

unsafe extern "C-unwind" fn graph_compute(
    scheduler: *mut c_void,
    graph: *mut c_void,
    caller: *const c_void,
) -> c_int {
    let Some(library) = library::behind_caller(caller) else {
        return FAILED;
    };
    // SAFETY: the program's own arguments.
    unsafe { compute(scheduler, graph, library, library.graph_compute) }
}

unsafe extern "C-unwind" fn graph_compute_async(
    scheduler: *mut c_void,
    graph: *mut c_void,
    caller: *const c_void,
) -> c_int {
    let Some(library) = library::behind_caller(caller) else {
        return FAILED;
    };
    // SAFETY: the program's own arguments.
    unsafe { compute(scheduler, graph, library, library.graph_compute_async) }
}

unsafe extern "C-unwind" fn free(scheduler: *mut c_void, caller: *const c_void) {
    let Some(library) = library::behind_caller(caller) else {
        return;
    };
    if process::is_on() {
        scheduler::forget(scheduler);
    }
    if let Some(free) = library.scheduler_free {
        // SAFETY: the program's own argument.
        unsafe { free(scheduler) }
    }
}

thread_local! {
    /// Whether this thread is inside `compute`: the synchronous function calls the asynchronous one.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Ends what it stands for also when a C++ exception passes through.
struct Inside;

impl Inside {
    fn enter() -> Option<Self> {
        (!INSIDE.replace(true)).then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// # Safety
///
/// The arguments are the program's own, and `real` is the function that it meant to call.
unsafe fn compute(
    address: *mut c_void,
    graph: *mut c_void,
    library: &'static Library,
    real: Option<GraphCompute>,
) -> c_int {
    let Some(real) = real else { return FAILED };
    let forward = || {
        // SAFETY: the program's own arguments.
        unsafe { real(address, graph) }
    };
    if !process::is_on() {
        return forward();
    }
    let Some(_inside) = Inside::enter() else {
        return forward();
    };
    let scheduler = scheduler::at(address, library);
    // SAFETY: a graph of this copy of ggml, about to be computed.
    let Some(_pass) = (unsafe { hook::begin(&scheduler, address, graph) }) else {
        return forward();
    };
    forward()
}
