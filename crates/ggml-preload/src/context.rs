//! One context of a program that installs the callback itself.

use std::ffi::{CStr, c_void};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use ggml_callback::{Heads, Node, is_token_lookup};
use orch_log::format::ModelInfo;

use crate::asked::Asked;
use crate::guarded::guarded;
use crate::installed::Engine;
use crate::layout::Layout;
use crate::node::{Ggml, Tensor};
use crate::scheduler::UserCallback;
use crate::trace::Trace;
use crate::{maps, process};

/// A context and its trace. Never freed: llama.cpp does not say when it calls for the last time.
pub(crate) struct Context {
    ggml: Ggml,
    /// The same for versions of ggml that mark the nodes that they compute.
    marking: Ggml,
    /// Whether a marked node was seen, which is how such a version is told.
    marks_seen: AtomicBool,
    heads: Heads,
    pub(crate) next: Option<UserCallback>,
    pub(crate) next_wants: AtomicBool,
    state: Mutex<State>,
}

// SAFETY: the pointers among the fields are the program's own, handed back to it unread.
unsafe impl Sync for Context {}

static CONTEXTS: Mutex<Vec<&'static Context>> = Mutex::new(Vec::new());

struct State {
    trace: Trace,
    model: ModelInfo,
    in_pass: bool,
}

impl Context {
    /// Begins the trace of a context that is about to be made.
    ///
    /// # Errors
    ///
    /// The trace cannot be opened.
    ///
    /// # Safety
    ///
    /// As for [`orch_log_ggml_begin`](crate::installed::orch_log_ggml_begin).
    pub(crate) unsafe fn begin(
        asked: &'static Asked,
        engine: &Engine,
    ) -> io::Result<&'static Self> {
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
        let model = ModelInfo {
            architecture,
            layers: Some(count(engine.n_layer)),
            ..ModelInfo::default()
        };
        let context: &'static Self = Box::leak(Box::new(Self {
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
                trace: Trace::begin(asked, model.clone())?,
                model,
                in_pass: false,
            }),
        }));
        let mut contexts = CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        contexts.push(context);
        Ok(context)
    }

    /// # Safety
    ///
    /// `tensor` is a live tensor of the program's graph.
    pub(crate) unsafe fn node(&self, tensor: *mut c_void, ask: bool) -> bool {
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
        self.in_pass && self.trace.ask(node)
    }

    fn begin_pass(&mut self, lookup: &Tensor<'_>, heads: Heads) {
        if self.in_pass {
            self.trace.end_pass();
        }
        if self.model.path.is_empty()
            && let Some(path) = lookup.src(0).and_then(|table| maps::file_at(table.data()))
        {
            self.model.path = path.to_string_lossy().into_owned();
            self.trace.set_model(self.model.clone());
        }
        self.trace.begin_pass(Some(heads));
        self.in_pass = true;
    }

    fn take(&mut self, node: &Tensor<'_>) -> bool {
        if self.in_pass {
            self.trace.take(node);
            if node.name() == "result_output" {
                self.trace.end_pass();
                self.in_pass = false;
            }
        }
        true
    }
}

/// The process ends: what was held back until then is told.
pub(crate) fn finish() {
    guarded((), || {
        // A thread may still be computing; then nothing is waited for.
        let Ok(contexts) = CONTEXTS.try_lock() else {
            return;
        };
        for context in contexts.iter() {
            if let Ok(state) = context.state.try_lock() {
                state.trace.finish();
            }
        }
    });
}
