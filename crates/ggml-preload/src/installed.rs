//! For programs that install the callback themselves: what `cpp/orch_log_ggml.hpp` calls.
//!
//! Such a program may have ggml linked in statically, where nothing can be interposed; but it was compiled with ggml's
//! headers, so it hands over the functions and the layout instead of our having to find them. It sees no graph, only
//! nodes: a pass begins with the lookup of its tokens and ends with llama.cpp's `result_output`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use ggml_callback::{Heads, Node, is_token_lookup};
use orch_log::format::ModelInfo;

use crate::accessors::Accessors;
use crate::asked::asked;
use crate::guarded::guarded;
use crate::layout::Layout;
use crate::library::EvalCallback;
use crate::node::{Ggml, Tensor};
use crate::scheduler::UserCallback;
use crate::trace::Trace;
use crate::{maps, origin, process};

/// `orch_log_ggml_engine` of the header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Engine {
    /// Bytes of this struct in the header that the program was compiled with.
    size: usize,
    accessors: Accessors,
    /// Offsets in `ggml_tensor`.
    flags: usize,
    src: usize,
    view_src: usize,
    data: usize,
    n_head: i32,
    n_head_kv: i32,
    key_length: i32,
    value_length: i32,
    n_layer: i32,
    /// `general.architecture`.
    architecture: *const c_char,
    /// The callback that was set before, and its data.
    next: Option<EvalCallback>,
    next_user_data: *mut c_void,
}

/// One context of such a program. Never freed: llama.cpp does not say when it calls for the last time.
struct Capture {
    ggml: Ggml,
    /// The same for versions of ggml that mark the nodes that they compute.
    marking: Ggml,
    /// Whether a marked node was seen, which is how such a version is told.
    marks_seen: AtomicBool,
    heads: Heads,
    next: Option<UserCallback>,
    next_wants: AtomicBool,
    state: Mutex<State>,
}

// SAFETY: the pointers among the fields are the program's own, handed back to it unread.
unsafe impl Sync for Capture {}

static CAPTURES: Mutex<Vec<&'static Capture>> = Mutex::new(Vec::new());

struct State {
    /// Opened at the first pass.
    trace: Option<Trace>,
    model: ModelInfo,
    in_pass: bool,
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
        let problems = asked().map_or("", |asked| asked.problems.as_str());
        // SAFETY: of our version.
        let begun: &'static Capture = Box::leak(Box::new(unsafe { Capture::new(&*engine) }));
        CAPTURES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(begun);
        // SAFETY: valid, says the caller.
        unsafe { *capture = ptr::from_ref(begun).cast_mut().cast() };
        match CString::new(problems) {
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
    let capture = unsafe { &*data.cast::<Capture>() };
    // SAFETY: as ggml would call it.
    let call_next = |next: UserCallback| unsafe { (next.function)(tensor, ask, next.user_data) };
    if ask {
        let next_wants = capture.next.is_some_and(call_next);
        capture.next_wants.store(next_wants, Relaxed);
        // SAFETY: ggml's own argument.
        return unsafe { capture.node(tensor, true) } || next_wants;
    }
    // SAFETY: ggml's own argument.
    unsafe { capture.node(tensor, false) };
    match capture.next {
        Some(next) if capture.next_wants.load(Relaxed) => call_next(next),
        _ => true,
    }
}

impl Capture {
    /// # Safety
    ///
    /// As for [`orch_log_ggml_begin`].
    unsafe fn new(engine: &Engine) -> Self {
        let count = |value: i32| usize::try_from(value).unwrap_or(0);
        let architecture = (!engine.architecture.is_null()).then(|| {
            // SAFETY: a C string, says the caller.
            unsafe { CStr::from_ptr(engine.architecture) }
                .to_string_lossy()
                .into_owned()
        });
        let layout = Layout {
            flags: Some(engine.flags),
            src: engine.src,
            view_src: engine.view_src,
            data: engine.data,
        };
        let ggml = Ggml {
            accessors: engine.accessors,
            layout,
            marks_computed: false,
        };
        Self {
            ggml,
            marking: Ggml {
                marks_computed: true,
                ..ggml
            },
            marks_seen: AtomicBool::new(false),
            heads: Heads {
                query: count(engine.n_head),
                key_value: count(engine.n_head_kv),
                head_dim: count(engine.key_length),
                value_dim: count(engine.value_length),
            },
            next: engine.next.map(|function| UserCallback {
                function,
                user_data: engine.next_user_data,
            }),
            next_wants: AtomicBool::new(false),
            state: Mutex::new(State {
                trace: None,
                model: ModelInfo {
                    architecture,
                    layers: Some(count(engine.n_layer)),
                    ..ModelInfo::default()
                },
                in_pass: false,
            }),
        }
    }

    /// # Safety
    ///
    /// `tensor` is a live tensor of the program's graph.
    unsafe fn node(&self, tensor: *mut c_void, ask: bool) -> bool {
        if !process::is_on() {
            return false;
        }
        guarded(false, || {
            // SAFETY: as the caller says.
            let Some(node) = (unsafe { Tensor::new(tensor, &self.ggml) }) else {
                return false;
            };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.marks_seen.load(Relaxed) && node.is_marked_computed() {
                self.marks_seen.store(true, Relaxed);
                // The lookup that began the pass was not marked: the pass starts from vectors, not from tokens.
                state.in_pass = false;
            }
            let node = if self.marks_seen.load(Relaxed) {
                node.read_with(&self.marking)
            } else {
                node
            };
            if ask {
                state.ask(&node, self.heads)
            } else {
                state.take(&node)
            }
        })
    }
}

impl State {
    fn ask(&mut self, node: &Tensor<'_>, heads: Heads) -> bool {
        if node.is_computed() && is_token_lookup(node) {
            self.begin_pass(node, heads);
        }
        match &mut self.trace {
            Some(trace) if self.in_pass => trace.ask(node),
            _ => false,
        }
    }

    fn begin_pass(&mut self, lookup: &Tensor<'_>, heads: Heads) {
        if self.trace.is_none() {
            let table = lookup.src(0).and_then(|table| maps::file_at(table.data()));
            self.model.path =
                table.map_or_else(String::new, |path| path.to_string_lossy().into_owned());
            self.trace = asked().and_then(|asked| Trace::begin(asked, self.model.clone()).ok());
        }
        if let Some(trace) = &mut self.trace {
            if self.in_pass {
                trace.end_pass();
            }
            trace.begin_pass(Some(heads));
            self.in_pass = true;
        }
    }

    fn take(&mut self, node: &Tensor<'_>) -> bool {
        let Some(trace) = self.trace.as_mut().filter(|_| self.in_pass) else {
            return false;
        };
        trace.take(node);
        if node.name() == "result_output" {
            trace.end_pass();
            self.in_pass = false;
        }
        true
    }
}

/// The process ends: what was held back until then is told.
pub(crate) fn finish() {
    guarded((), || {
        let Ok(captures) = CAPTURES.try_lock() else {
            return;
        };
        for capture in captures.iter() {
            if let Ok(state) = capture.state.try_lock()
                && let Some(trace) = &state.trace
            {
                trace.finish();
            }
        }
    });
}
