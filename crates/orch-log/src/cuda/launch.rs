//! Getting work onto the device: in the engine's stream or beside it, eagerly or into a graph.

use std::ffi::c_void;
use std::ptr;

use super::capture;
use super::device::Device;
use super::driver::{Driver, Handle, check};
use super::error::Error;
use super::lane::Lane;
use super::slot::{Job, THREADS};

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
/// Copies up to this size start sooner as a kernel than as a copy.
const SMALL_COPY_BYTES: u64 = 64 * 1024;

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

/// Room for a snapshot; none where there is none left. A graph keeps its snapshots for good, and so does a pass whose
/// payloads are wanted.
pub(super) fn snapshot_room(
    device: &Device,
    lane: &mut Lane,
    nbytes: u64,
    keep: bool,
) -> Option<u64> {
    let limit = device.settings.snapshot_bytes;
    let room = nbytes.next_multiple_of(256);
    if room > limit {
        return None;
    }
    if lane.snapshots == 0 {
        lane.snapshots = device.memory(limit as usize).ok()?;
    }
    if lane.used + room > limit {
        if lane.capture != 0 || keep {
            return None;
        }
        join(&device.backend.driver, lane).ok()?;
        lane.used = 0;
        lane.delivered = 0;
    }
    let at = lane.snapshots + lane.used;
    lane.used += room;
    Some(at)
}

/// Copies the job's tensor, and its counter of positions, in the engine's stream; the job then reads the copies. `to` has
/// room for 8 bytes more than the tensor, rounded up to 8.
pub(super) fn take_snapshot(
    driver: &Driver,
    stream: Handle,
    copy_small: Handle,
    job: &mut Job,
    mut to: u64,
    nbytes: u64,
) -> Result<(), Error> {
    let mut position_copy = to + nbytes.next_multiple_of(8);
    let mut by_kernel = nbytes;
    if nbytes > SMALL_COPY_BYTES {
        // SAFETY: the caller's tensor, and room of ours for it.
        check(unsafe { (driver.copy_on_device)(to, job.data, nbytes as usize, stream) })?;
        by_kernel = 0;
    }
    if by_kernel > 0 || job.position_bits != 0 {
        let blocks = by_kernel.div_ceil(16 * u64::from(THREADS)).max(1) as u32;
        let mut arguments = [
            ptr::from_mut(&mut job.data).cast::<c_void>(),
            ptr::from_mut(&mut to).cast(),
            ptr::from_mut(&mut by_kernel).cast(),
            ptr::from_mut(&mut job.position).cast(),
            ptr::from_mut(&mut job.position_bits).cast(),
            ptr::from_mut(&mut position_copy).cast(),
        ];
        let work = Work {
            kernel: copy_small,
            blocks,
            threads: THREADS,
            arguments: &mut arguments,
        };
        launch(driver, stream, work)?;
    }
    job.data = to;
    if job.position_bits != 0 {
        job.position = position_copy;
        job.position_bits = 64;
    }
    Ok(())
}
