//! The callback that ggml calls, and the passes between whose ends it is called.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ggml_callback::{Node, heads, is_token_lookup};
use orch_log::format::ModelInfo;

use crate::asked::asked;
use crate::describe;
use crate::guarded::guarded;
use crate::node::{Ggml, Tensor};
use crate::scheduler::Scheduler;
use crate::status::{Kind, tell};
use crate::trace::Trace;
use crate::{graph, process};

/// A pass that is being captured.
#[derive(Clone)]
pub(crate) struct Running {
    ggml: Ggml,
    trace: Arc<Shared>,
}

/// A trace, and which model it is of.
pub(crate) struct Shared {
    /// Address of the embedding table: tells models apart.
    model: usize,
    /// Whether a pass is under way.
    busy: Mutex<bool>,
    trace: Mutex<Trace>,
}

static TRACES: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends its pass when it goes.
pub(crate) struct PassGuard(Arc<Scheduler>);

impl Drop for PassGuard {
    fn drop(&mut self) {
        let Some(running) = self.0.running().take() else {
            return;
        };
        guarded((), || lock(&running.trace.trace).end_pass());
        *lock(&running.trace.busy) = false;
    }
}

/// A graph is about to be computed. `None` when it is not one to capture.
///
/// # Safety
///
/// `graph` is a graph of the scheduler at `address`, which `scheduler` describes.
pub(crate) unsafe fn begin(
    scheduler: &Arc<Scheduler>,
    address: *mut c_void,
    graph: *mut c_void,
) -> Option<PassGuard> {
    if process::saw_graph() {
        tell(Kind::Graph, &scheduler.library.path);
    }
    // SAFETY: as the caller says.
    let running = guarded(None, || unsafe { prepare(scheduler, graph) })?;
    guarded((), || *scheduler.running() = Some(running));
    let guard = PassGuard(Arc::clone(scheduler));
    // SAFETY: the callback's data outlives the pass, as the guard holds on to it, and the scheduler, in whose entry of
    // the table it is.
    unsafe {
        (scheduler.library.set_eval_callback)(
            address,
            Some(on_node),
            Arc::as_ptr(scheduler).cast_mut().cast(),
        )
    };
    Some(guard)
}

/// # Safety
///
/// `graph` is a live graph of the scheduler's copy of ggml.
unsafe fn prepare(scheduler: &Scheduler, graph: *mut c_void) -> Option<Running> {
    // SAFETY: as the caller says.
    let nodes = unsafe { graph::nodes(graph, scheduler.library.graph) };
    // SAFETY: nodes of this copy of ggml.
    let mut ggml = match unsafe { scheduler.library.ggml(*nodes.first()?) } {
        Ok(ggml) => *ggml,
        Err(unreadable) => {
            tell(Kind::Problem, unreadable.to_string());
            process::switch_off();
            return None;
        }
    };
    // SAFETY: nodes of this copy of ggml, which live as long as the graph.
    let marks = unsafe { Tensor::all(&nodes, &ggml) }.any(|node| node.is_marked_computed());
    ggml.marks_computed = marks;

    // SAFETY: as above.
    let tensors = unsafe { Tensor::all(&nodes, &ggml) };
    // A graph that looks up no token is no forward pass: it moves the cache, or reads an image.
    let table = tensors
        .clone()
        .find(|node| node.is_computed() && is_token_lookup(node))?
        .src(0)?;
    let trace = trace_of(&table, || describe::model(&table, tensors.clone()))?;
    let heads = heads(tensors);
    lock(&trace.trace).begin_pass(heads);
    Some(Running { ggml, trace })
}

/// The trace of the model with this embedding table: one of it that no pass is under way in, or a new one.
fn trace_of(table: &Tensor<'_>, model: impl Fn() -> ModelInfo) -> Option<Arc<Shared>> {
    let asked = asked()?;
    let mut traces = lock(&TRACES);
    for shared in traces.iter().filter(|shared| shared.model == table.id()) {
        let mut busy = lock(&shared.busy);
        if !*busy {
            *busy = true;
            let mut trace = lock(&shared.trace);
            if !trace.model_is_known() {
                trace.set_model(model());
            }
            return Some(Arc::clone(shared));
        }
    }
    match Trace::begin(asked, model()) {
        Ok(trace) => {
            let shared = Arc::new(Shared {
                model: table.id(),
                busy: Mutex::new(true),
                trace: Mutex::new(trace),
            });
            traces.push(Arc::clone(&shared));
            Some(shared)
        }
        Err(error) => {
            tell(
                Kind::Problem,
                format!(
                    "the trace `{}` cannot be opened: {error}",
                    asked.log.path.display()
                ),
            );
            process::switch_off();
            None
        }
    }
}

/// What ggml calls. The program's own callback sees exactly what it would see without us.
unsafe extern "C-unwind" fn on_node(tensor: *mut c_void, ask: bool, data: *mut c_void) -> bool {
    // SAFETY: set in `begin`, which says why it is alive.
    let scheduler = unsafe { &*data.cast::<Scheduler>() };
    if ask {
        // SAFETY: ggml called us in its place.
        let user_wants = unsafe { scheduler.ask_user(tensor) };
        // SAFETY: ggml's own argument.
        return unsafe { with_node(scheduler, tensor, |trace, node| trace.ask(node)) }
            || user_wants;
    }
    // SAFETY: as above.
    unsafe {
        with_node(scheduler, tensor, |trace, node| {
            trace.take(node);
            true
        })
    };
    // SAFETY: as above.
    unsafe { scheduler.deliver_to_user(tensor) }
}

/// False when nothing is captured at the moment.
///
/// # Safety
///
/// `tensor` is a live tensor of the scheduler's copy of ggml.
unsafe fn with_node(
    scheduler: &Scheduler,
    tensor: *mut c_void,
    work: impl FnOnce(&mut Trace, &Tensor<'_>) -> bool,
) -> bool {
    if !process::is_on() {
        return false;
    }
    guarded(false, || {
        let Some(running) = scheduler.running().clone() else {
            return false;
        };
        // SAFETY: as the caller says.
        let Some(node) = (unsafe { Tensor::new(tensor, &running.ggml) }) else {
            return false;
        };
        let mut trace = lock(&running.trace.trace);
        work(&mut trace, &node)
    })
}

/// The process ends: what was held back until then is told.
pub(crate) fn finish() {
    guarded((), || {
        // A thread may still be computing; then nothing is waited for.
        let Ok(traces) = TRACES.try_lock() else {
            return;
        };
        for shared in traces.iter() {
            if let Ok(trace) = shared.trace.try_lock() {
                trace.finish();
            }
        }
    });
}
