//! Adding our kernels to a graph that the engine is capturing, without touching the engine's own chain of work.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::driver::{
    ADD_DEPENDENCIES, CAPTURE_ACTIVE, Driver, Handle, KernelNode, MOVE_USER_OBJECT,
    NO_DESTRUCTOR_SYNC, SET_DEPENDENCIES, check,
};
use super::error::Error;
use super::lane::{Lane, Lease, Nodes};
use super::launch::Work;
use super::slot::{BATCH_JOBS, Job, Ring, THREADS};

/// What a stream is capturing into, and what its next work would wait for.
#[derive(Clone)]
pub(super) struct Capture {
    /// 0 outside of captures.
    pub(super) id: u64,
    pub(super) graph: Handle,
    pub(super) waits_for: Vec<Handle>,
}

impl Capture {
    pub(super) fn of(driver: &Driver, stream: Handle) -> Self {
        let (mut status, mut id, mut graph) = (0, 0, ptr::null_mut());
        let (mut waits_for, mut count) = (ptr::null(), 0);
        // SAFETY: room for what is asked; the array is read before the stream gets more work.
        let code = unsafe {
            (driver.stream_capture_info)(
                stream,
                &mut status,
                &mut id,
                &mut graph,
                &mut waits_for,
                &mut count,
            )
        };
        if code != 0 || status != CAPTURE_ACTIVE {
            return Self {
                id: 0,
                graph: ptr::null_mut(),
                waits_for: Vec::new(),
            };
        }
        let waits_for = if count == 0 {
            Vec::new()
        } else {
            // SAFETY: as many handles as announced.
            unsafe { std::slice::from_raw_parts(waits_for, count) }.to_vec()
        };
        Self {
            id,
            graph,
            waits_for,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.id != 0
    }
}

/// Asks CUDA to say when the graph of a lane's capture is gone, so that an engine may capture as often as it likes. Where it
/// will not, the lane stays with the graph.
pub(super) fn ask_for_lease(driver: &Driver, lane: &mut Lane, capture: &Capture) {
    if !capture.is_active() || !matches!(lane.lease, Lease::NotAsked) {
        return;
    }
    lane.lease = Lease::None;
    let is_over = Arc::new(AtomicBool::new(false));
    let theirs = Arc::into_raw(is_over.clone()).cast_mut().cast::<c_void>();
    let mut object = ptr::null_mut();
    // SAFETY: a pointer that `lease_is_over` takes back, called once.
    let code = unsafe {
        (driver.user_object_create)(&mut object, theirs, lease_is_over, 1, NO_DESTRUCTOR_SYNC)
    };
    if code != 0 {
        // SAFETY: made above, and nobody else has it.
        drop(unsafe { Arc::from_raw(theirs.cast::<AtomicBool>()) });
        return;
    }
    // SAFETY: a graph that is being captured, and an object of ours. If it is not retained it is left alone: to let it go
    // would end the lease.
    let code =
        unsafe { (driver.graph_retain_user_object)(capture.graph, object, 1, MOVE_USER_OBJECT) };
    if code == 0 {
        lane.lease = Lease::Until(is_over);
    }
}

/// Called by CUDA, from a thread of its own, when the graph and all that was made of it are gone.
extern "C" fn lease_is_over(theirs: *mut c_void) {
    // SAFETY: from `Arc::into_raw` in `ask_for_lease`, and CUDA calls this once.
    let is_over = unsafe { Arc::from_raw(theirs.cast_const().cast::<AtomicBool>()) };
    is_over.store(true, Ordering::Release);
}

fn node(work: &mut Work<'_>) -> KernelNode {
    KernelNode {
        function: work.kernel,
        grid: [work.blocks, 1, 1],
        block: [work.threads, 1, 1],
        shared_bytes: 0,
        arguments: work.arguments.as_mut_ptr(),
        extra: ptr::null_mut(),
        kernel: ptr::null_mut(),
        context: ptr::null_mut(),
    }
}

/// Adds a kernel beside the engine's own work: the engine's next node does not wait for it, and nothing has to be joined
/// at the end, as a second captured stream would have to be.
pub(super) fn add_beside(driver: &Driver, lane: &mut Lane, work: Work<'_>) -> Result<(), Error> {
    let capture = Capture::of(driver, lane.stream);
    add_after(driver, lane, capture, work)
}

/// The same after the work that `capture` says, rather than all of the engine's so far.
pub(super) fn add_after(
    driver: &Driver,
    lane: &mut Lane,
    capture: Capture,
    mut work: Work<'_>,
) -> Result<(), Error> {
    let nodes = &mut lane.nodes;
    // Kernels of a lane come one after the other: they share its scratch.
    let waits_for = nodes.after(&capture.waits_for);
    let params = node(&mut work);
    let mut added = ptr::null_mut();
    // SAFETY: a graph that is being captured, nodes of it, and arguments that are copied by the call.
    check(unsafe {
        (driver.graph_add_kernel)(
            &mut added,
            capture.graph,
            waits_for.as_ptr(),
            waits_for.len(),
            &params,
        )
    })?;
    nodes.close_batch();
    nodes.last = added;
    nodes.last_waits_for = capture.waits_for;
    Ok(())
}

/// Makes the engine's next node wait for our kernels so far.
pub(super) fn join(driver: &Driver, stream: Handle, nodes: &mut Nodes) -> Result<(), Error> {
    if nodes.last.is_null() {
        return Ok(());
    }
    nodes.close_batch();
    // Where ours wait for all of the engine's, waiting for ours is enough: the graph stays a chain.
    let is_chain = Capture::of(driver, stream).waits_for == nodes.last_waits_for;
    let how = if is_chain {
        SET_DEPENDENCIES
    } else {
        ADD_DEPENDENCIES
    };
    wait_for(driver, stream, nodes, how)
}

/// The same for `stream`, which is captured into the same graph as the one that `nodes` belong to.
pub(super) fn make_wait(driver: &Driver, stream: Handle, nodes: &mut Nodes) -> Result<(), Error> {
    wait_for(driver, stream, nodes, ADD_DEPENDENCIES)
}

fn wait_for(driver: &Driver, stream: Handle, nodes: &mut Nodes, how: u32) -> Result<(), Error> {
    // SAFETY: a node of the graph that this stream is captured into.
    Ok(check(unsafe {
        (driver.stream_update_dependencies)(stream, &mut nodes.last, 1, how)
    })?)
}

/// Adds a small tensor to the kernel that reads several of them, which then waits for the engine's work so far too. A node
/// for each tensor would take longer than the engine's own kernels. False where it has to be read alone.
pub(super) fn add_to_batch(
    driver: &Driver,
    lane: &mut Lane,
    kernel: Handle,
    job: &Job,
    of: u8,
    mut ring: Ring,
) -> Result<bool, Error> {
    let capture = Capture::of(driver, lane.stream);
    if capture.waits_for.len() != 1 {
        return Ok(false);
    }
    let is_fresh = lane.nodes.batch_node.is_null() || lane.nodes.batch.count as usize == BATCH_JOBS;
    if is_fresh {
        lane.nodes.close_batch();
    }
    let mut batch = lane.nodes.batch.clone();
    let place = batch.count as usize;
    batch.jobs[place] = *job;
    batch.types[place] = of;
    batch.count += 1;
    let mut scratch = lane.scratch;
    let mut arguments = [
        ptr::from_mut(batch.as_mut()).cast::<c_void>(),
        ptr::from_mut(&mut ring).cast(),
        ptr::from_mut(&mut scratch).cast(),
    ];
    let mut work = Work {
        kernel,
        blocks: place as u32 + 1,
        threads: THREADS,
        arguments: &mut arguments,
    };
    if is_fresh {
        add_after(driver, lane, capture, work)?;
        lane.nodes.batch_node = lane.nodes.last;
    } else {
        let params = node(&mut work);
        // SAFETY: a kernel node of ours in a graph that is being captured; arguments are copied by the call.
        check(unsafe { (driver.graph_set_kernel)(lane.nodes.batch_node, &params) })?;
        if lane.nodes.last_waits_for != capture.waits_for {
            // SAFETY: two nodes of that graph, the first captured before anything that waits for ours.
            check(unsafe {
                (driver.graph_add_dependencies)(
                    capture.graph,
                    capture.waits_for.as_ptr(),
                    &lane.nodes.batch_node,
                    1,
                )
            })?;
            lane.nodes.last_waits_for = capture.waits_for;
        }
    }
    lane.nodes.batch = batch;
    Ok(true)
}
