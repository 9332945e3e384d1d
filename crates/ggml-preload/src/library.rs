//! One copy of ggml in the program, and its own functions.
//!
//! A process can hold several copies (two Python packages that each brought one). Tensors of one must be read with the
//! functions of that one.

use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::accessors::{Accessors, GraphAccessors, function};
use crate::layout::{Layout, UnknownLayout};
use crate::node::Ggml;
use crate::origin;

/// `ggml_backend_sched_eval_callback`: asked with `true` whether the node's numbers are wanted, then called with
/// `false` once they are there. C++ exceptions may pass through.
pub(crate) type EvalCallback =
    unsafe extern "C-unwind" fn(tensor: *mut c_void, ask: bool, user_data: *mut c_void) -> bool;
/// `ggml_backend_sched_set_eval_callback`.
pub(crate) type SetEvalCallback =
    unsafe extern "C-unwind" fn(*mut c_void, Option<EvalCallback>, *mut c_void);
/// `ggml_backend_sched_graph_compute` and `…_async`.
pub(crate) type GraphCompute = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void) -> c_int;
/// `ggml_backend_sched_free`.
pub(crate) type SchedulerFree = unsafe extern "C-unwind" fn(*mut c_void);

/// One copy of ggml. What an old version lacks is `None`, and is never called by a program that was built for it.
#[derive(Debug)]
pub(crate) struct Library {
    base: usize,
    pub(crate) path: String,
    pub(crate) set_eval_callback: SetEvalCallback,
    pub(crate) graph_compute: Option<GraphCompute>,
    pub(crate) graph_compute_async: Option<GraphCompute>,
    pub(crate) scheduler_free: Option<SchedulerFree>,
    pub(crate) graph: Option<GraphAccessors>,
    accessors: Option<Accessors>,
    ggml: OnceLock<Result<Ggml, Unreadable>>,
}

/// Why the tensors of a copy of ggml cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A function that reads them is not exported.
    Accessor,
    /// Their layout is not known.
    Layout(UnknownLayout),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accessor => write!(
                f,
                "this ggml does not export all of ggml_get_name, ggml_op_desc, ggml_type_name, ggml_nbytes, \
                 ggml_backend_tensor_get and ggml_backend_buffer_is_host: nothing is captured"
            ),
            Self::Layout(unknown) => unknown.fmt(f),
        }
    }
}

/// The copies found so far, and for each place in the program that called one of our functions the copy behind it. Both
/// only grow, by a handful of entries in a process.
struct Known {
    copies: Vec<&'static Library>,
    callers: Vec<(usize, &'static Library)>,
}

static KNOWN: Mutex<Known> = Mutex::new(Known {
    copies: Vec::new(),
    callers: Vec::new(),
});

/// The copy of ggml behind a call that returns to `caller`. `None`: the program has none that exports what we need.
pub(crate) fn behind_caller(caller: *const c_void) -> Option<&'static Library> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, library)) = known
        .callers
        .iter()
        .find(|(address, _)| *address == caller as usize)
    {
        return Some(library);
    }
    let set = origin::behind(c"ggml_backend_sched_set_eval_callback", caller)?;
    let object = origin::object_at(set)?;
    let library = match known.copies.iter().find(|copy| copy.base == object.base) {
        Some(copy) => *copy,
        None => {
            let copy: &'static Library = Box::leak(Box::new(Library::open(set, &object)));
            known.copies.push(copy);
            copy
        }
    };
    known.callers.push((caller as usize, library));
    Some(library)
}

impl Library {
    /// Everything from the object that defines `set`, its real `ggml_backend_sched_set_eval_callback`.
    fn open(set: *mut c_void, object: &origin::Object) -> Self {
        let find = |symbol: &CStr| origin::in_object(&object.path, symbol);
        Self {
            base: object.base,
            path: object.path.to_string_lossy().into_owned(),
            set_eval_callback: function!(set, SetEvalCallback),
            graph_compute: find(c"ggml_backend_sched_graph_compute")
                .map(|symbol| function!(symbol, GraphCompute)),
            graph_compute_async: find(c"ggml_backend_sched_graph_compute_async")
                .map(|symbol| function!(symbol, GraphCompute)),
            scheduler_free: find(c"ggml_backend_sched_free")
                .map(|symbol| function!(symbol, SchedulerFree)),
            graph: GraphAccessors::find(find),
            accessors: Accessors::find(find),
            ggml: OnceLock::new(),
        }
    }

    /// How to read the tensors of this copy, told by `tensor`, any of them.
    ///
    /// # Errors
    ///
    /// A version that we do not know.
    ///
    /// # Safety
    ///
    /// `tensor` is a live tensor of this copy.
    pub(crate) unsafe fn ggml(&self, tensor: *const c_void) -> Result<&Ggml, Unreadable> {
        let ggml = self.ggml.get_or_init(|| {
            let accessors = self.accessors.ok_or(Unreadable::Accessor)?;
            // SAFETY: the function of the copy that made this tensor.
            let name = unsafe { (accessors.get_name)(tensor) };
            let name_offset = (name as isize).wrapping_sub(tensor as isize);
            let layout = Layout::of_name_offset(name_offset).map_err(Unreadable::Layout)?;
            Ok(Ggml {
                accessors,
                layout,
                marks_computed: false,
            })
        });
        ggml.as_ref().map_err(|unreadable| *unreadable)
    }
}
