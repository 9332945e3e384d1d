//! What is remembered of each scheduler: its copy of ggml, and the program's own callback.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::hook::Running;
use crate::library::{EvalCallback, Library};

/// A callback with what it wants to be called with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserCallback {
    pub(crate) function: EvalCallback,
    pub(crate) user_data: *mut c_void,
}

// SAFETY: the pointer is only handed back to the program, on the thread on which ggml would have done so.
unsafe impl Send for UserCallback {}

/// One `ggml_backend_sched`.
pub(crate) struct Scheduler {
    pub(crate) library: &'static Library,
    user: Mutex<Option<UserCallback>>,
    /// Whether the program's callback wants the node that it was asked about last. ggml asks and delivers on one
    /// thread, and delivers the node that was asked about last.
    user_wants: AtomicBool,
    running: Mutex<Option<Running>>,
}

static SCHEDULERS: Mutex<Option<HashMap<usize, Arc<Scheduler>>>> = Mutex::new(None);

/// What is known of the scheduler at `address`; made at the first call.
pub(crate) fn at(address: *mut c_void, library: &'static Library) -> Arc<Scheduler> {
    let mut table = SCHEDULERS.lock().unwrap_or_else(PoisonError::into_inner);
    table
        .get_or_insert_default()
        .entry(address as usize)
        .or_insert_with(|| {
            Arc::new(Scheduler {
                library,
                user: Mutex::new(None),
                user_wants: AtomicBool::new(false),
                running: Mutex::new(None),
            })
        })
        .clone()
}

/// Forgets a scheduler that is being freed: another may come to lie at its address.
pub(crate) fn forget(address: *mut c_void) {
    let mut table = SCHEDULERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(table) = table.as_mut() {
        table.remove(&(address as usize));
    }
}

impl Scheduler {
    /// Remembers the program's own callback, to be called beside ours.
    pub(crate) fn set_user(&self, user: Option<UserCallback>) {
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = user;
    }

    /// The program's own callback.
    pub(crate) fn user(&self) -> Option<UserCallback> {
        *self.user.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pass that is being captured.
    pub(crate) fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the program's callback about `tensor`. True when it wants its numbers.
    ///
    /// # Safety
    ///
    /// Called by ggml, in place of the program's callback, with a tensor of the graph being computed.
    pub(crate) unsafe fn ask_user(&self, tensor: *mut c_void) -> bool {
        let wants = self.user().is_some_and(|user| {
            // SAFETY: as ggml would call it.
            unsafe { (user.function)(tensor, true, user.user_data) }
        });
        self.user_wants.store(wants, Relaxed);
        wants
    }

    /// Delivers `tensor` to the program's callback if it asked for it. False when that wants to stop the graph.
    ///
    /// # Safety
    ///
    /// As for [`ask_user`](Self::ask_user).
    pub(crate) unsafe fn deliver_to_user(&self, tensor: *mut c_void) -> bool {
        match self.user() {
            Some(user) if self.user_wants.load(Relaxed) => {
                // SAFETY: as ggml would call it.
                unsafe { (user.function)(tensor, false, user.user_data) }
            }
            _ => true,
        }
    }
}
