//! Getting work onto the device: in the engine's stream or beside it, eagerly or into a graph.

use std::ffi::c_void;
use std::ptr;

use super::capture;
use super::driver::{Driver, Handle, check};
use super::error::Error;
use super::lane::Lane;
use super::slot::THREADS;

/// A kernel and what it is called with.
pub(super) struct Work<'a> {
    pub(super) kernel: Handle,
    pub(super) blocks: u32,
    pub(super) threads: u32,
    /// Pointers to the arguments, which the driver copies.
    pub(super) arguments: &'a mut [*mut c_void],
}

/// One block reads up to this many elements alone: two are no faster, since the second has to be waited for.
const SINGLE_BLOCK_ELEMENTS: u64 = 4 * BLOCK_ELEMENTS;
/// Elements that one thread block takes at a time.
const BLOCK_ELEMENTS: u64 = THREADS as u64 * 16;

pub(super) fn blocks_for(count: u64) -> u32 {
    if count <= SINGLE_BLOCK_ELEMENTS {
        return 1;
    }
    count.div_ceil(BLOCK_ELEMENTS).min(264) as u32
}

/// Launches in `stream`.
pub(super) fn launch(driver: &Driver, stream: Handle, work: Work<'_>) -> Result<(), Error> {
    let Work {
        kernel,
        blocks,
        threads,
        arguments,
    } = work;
    // SAFETY: a kernel of ours and arguments of its types; they are copied by the call.
    let code = unsafe {
        (driver.launch)(
            kernel,
            blocks,
            1,
            1,
            threads,
            1,
            1,
            0,
            stream,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
        )
    };
    Ok(check(code)?)
}

/// Launches beside the engine's work so far.
pub(super) fn launch_beside(driver: &Driver, lane: &mut Lane, work: Work<'_>) -> Result<(), Error> {
    if lane.capture != 0 {
        return capture::add_beside(driver, lane, work);
    }
    let side = lane.side(driver)?;
    lane.side_is_busy = true;
    // SAFETY: events and a stream of ours, and the engine's stream.
    unsafe {
        check((driver.event_record)(side.forked, lane.stream))?;
        check((driver.stream_wait_event)(side.stream, side.forked, 0))?;
    }
    launch(driver, side.stream, work)
}

/// Launches at the end of a pass: in a graph beside the engine's work, outside of graphs after all of the pass.
pub(super) fn launch_last(driver: &Driver, lane: &mut Lane, work: Work<'_>) -> Result<(), Error> {
    if lane.capture != 0 {
        return capture::add_beside(driver, lane, work);
    }
    join(driver, lane)?;
    launch(driver, lane.stream, work)
}

/// Makes the engine's next work wait for what runs beside it: to take snapshots anew, or to use the lane's scratch.
pub(super) fn join(driver: &Driver, lane: &mut Lane) -> Result<(), Error> {
    if lane.capture != 0 {
        return capture::join(driver, lane.stream, &mut lane.nodes);
    }
    if !std::mem::take(&mut lane.side_is_busy) {
        return Ok(());
    }
    let side = lane.side(driver)?;
    // SAFETY: events and a stream of ours, and the engine's stream.
    unsafe {
        check((driver.event_record)(side.joined, side.stream))?;
        check((driver.stream_wait_event)(lane.stream, side.joined, 0))?;
    }
    Ok(())
}
