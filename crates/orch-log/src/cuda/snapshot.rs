//! Copies of tensors, taken in the engine's stream and read beside it.

use std::ffi::c_void;
use std::ptr;

use super::device::Device;
use super::driver::{Handle, check};
use super::error::Error;
use super::lane::Lane;
use super::launch::{Work, join, launch};
use super::program::Common;
use super::settings::Mode;
use super::slot::{Job, Piece, THREADS};
use super::state::State;
use super::tensor::Tensor;

/// Copies up to this size start sooner as a kernel than as a copy.
const SMALL_COPY_BYTES: u64 = 64 * 1024;

/// What one thread block brings to the host at a time.
const PIECE_BYTES: u64 = 16 * 1024;

/// Copies the tensor in the engine's stream; the job then reads the copy, which has no gaps. With `keep` the copy is also the
/// record's payload. False where there is no room.
pub(super) fn take(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: u64,
    job: &mut Job,
    tensor: &Tensor,
    keep: bool,
) -> Result<bool, Error> {
    let lane = state.lane(device, stream, capture)?;
    let Some(to) = room(device, lane, tensor.nbytes() + 16, keep) else {
        return Ok(false);
    };
    let offset = to - lane.snapshots;
    if tensor.strides.is_some() {
        pack(device, state, stream, job, tensor, to)?;
    } else {
        copy(device, state, stream, job, to, tensor.nbytes())?;
    }
    if keep {
        let lane = state.lane(device, stream, capture)?;
        is_payload(device, lane, job, offset, tensor.nbytes());
    }
    Ok(true)
}

/// Makes the tensor the record's payload without a copy: it stays as it is until its pass ends. False where there is no room.
pub(super) fn leave(device: &Device, lane: &mut Lane, job: &mut Job, nbytes: u64) -> bool {
    let Some(to) = room(device, lane, nbytes, true) else {
        return false;
    };
    let offset = to - lane.snapshots;
    is_payload(device, lane, job, offset, nbytes);
    true
}

/// Notes that what the job reads belongs at `offset` of what its pass brings.
fn is_payload(device: &Device, lane: &mut Lane, job: &mut Job, offset: u64, nbytes: u64) {
    job.payload_offset = offset | (u64::from(lane.index) << 48);
    job.payload_pass = lane.pass;
    if lane.capture != 0 && device.settings.mode == Mode::Side {
        let parts = (0..nbytes).step_by(PIECE_BYTES as usize);
        lane.pieces.extend(parts.map(|at| Piece {
            from: job.data + at,
            offset: offset + at,
            nbytes: PIECE_BYTES.min(nbytes - at),
        }));
    }
}

/// Room for a snapshot; none where there is none left. A graph keeps its snapshots for good, and so does a pass whose
/// payloads are wanted.
fn room(device: &Device, lane: &mut Lane, nbytes: u64, keep: bool) -> Option<u64> {
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
fn copy(
    device: &Device,
    state: &mut State,
    stream: Handle,
    job: &mut Job,
    mut to: u64,
    nbytes: u64,
) -> Result<(), Error> {
    let driver = &device.backend.driver;
    let mut position_copy = position_copy(to, nbytes);
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
            kernel: state.common_kernel(device, Common::CopySmall)?,
            blocks,
            threads: THREADS,
            arguments: &mut arguments,
        };
        launch(driver, stream, work)?;
    }
    read_copy(job, to, position_copy);
    Ok(())
}

/// The same for a view with gaps, which the copy has none of.
fn pack(
    device: &Device,
    state: &mut State,
    stream: Handle,
    job: &mut Job,
    tensor: &Tensor,
    mut to: u64,
) -> Result<(), Error> {
    let mut from = Job {
        strides: tensor.strides.unwrap_or_default(),
        ..*job
    };
    let mut size = tensor.of.size_bytes() as u32;
    let mut position_copy = position_copy(to, tensor.nbytes());
    let mut arguments = [
        ptr::from_mut(&mut from).cast::<c_void>(),
        ptr::from_mut(&mut size).cast(),
        ptr::from_mut(&mut to).cast(),
        ptr::from_mut(&mut position_copy).cast(),
    ];
    let work = Work {
        kernel: state.common_kernel(device, Common::CopyStrided)?,
        blocks: tensor.count.div_ceil(4 * u64::from(THREADS)).min(1024) as u32,
        threads: THREADS,
        arguments: &mut arguments,
    };
    launch(&device.backend.driver, stream, work)?;
    read_copy(job, to, position_copy);
    Ok(())
}

/// Where the position is copied to: behind the tensor.
fn position_copy(to: u64, nbytes: u64) -> u64 {
    to + nbytes.next_multiple_of(8)
}

/// Makes the job read the copies.
fn read_copy(job: &mut Job, to: u64, position_copy: u64) {
    job.data = to;
    if job.position_bits != 0 {
        job.position = position_copy;
        job.position_bits = 64;
    }
}
