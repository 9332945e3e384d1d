//! Enqueues the reading of tensors.

use std::ffi::c_void;
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::argument::Position;
use super::capture::{self, Capture};
use super::device::Device;
use super::driver::Handle;
use super::error::Error;
use super::launch::{Work, blocks_for, join, launch, launch_beside};
use super::program::{Program, Type};
use super::put_off;
use super::settings::Mode;
use super::slot::{Job, MAX_FIRST, NO_PAYLOAD, Slot, THREADS};
use super::snapshot;
use super::state::State;
use super::tensor::{Tensor, row_major};
use crate::format::{Event, TOKENS};
use crate::settings::Detail;

/// Enqueues the reading of one tensor.
pub(super) fn enqueue(
    device: &Device,
    detail: Detail,
    event: &Event<'_>,
    tensor: &Tensor,
    position: Position,
    stream: Handle,
) -> Result<(), Error> {
    let site = device
        .sites
        .find_or_add(event, tensor.of)
        .ok_or(Error::TooMany)?;
    let values = if event.checkpoint == TOKENS {
        device.token_values()
    } else {
        device.values
    };
    let mut job = Job {
        data: tensor.address,
        count: tensor.count,
        shape: tensor.shape,
        axes: tensor.axes as u32,
        first: u64::from(values).min(tensor.count) as u32,
        site,
        position_bits: position.bits,
        position: position.counter,
        token_idx: position.value,
        n_tokens: Job::told(
            event.n_tokens,
            device.backend.counts_steps.load(Ordering::Relaxed),
        ),
        payload_offset: NO_PAYLOAD,
        ..Job::default()
    };
    let _entered = device.enter()?;
    let mut state = device.state.lock().unwrap_or_else(PoisonError::into_inner);
    let state = &mut *state;
    let capture = Capture::of(&device.backend.driver, stream);
    // To read the host's memory would end the engine's context. Memory of a graph CUDA may not know yet.
    if !capture.is_active() {
        let is_read = (tensor.is_known || tensor.count == 0 || device.can_read(tensor.address))
            && (position.is_known || device.can_read(position.counter));
        if !is_read {
            return Err(Error::HostMemory);
        }
    }
    let driver = &device.backend.driver;
    capture::ask_for_lease(driver, state.lane(device, stream, capture.id)?, &capture);
    let full = detail == Detail::Full && tensor.count > 0;
    let mut mode = device.settings.mode;
    // Outside of graphs a copy, two events and a launch cost the host more than the reading costs the stream.
    if mode == Mode::Snapshot && !capture.is_active() {
        mode = Mode::InStream;
    }
    let mut strides = tensor.strides;
    let stays = mode == Mode::Side && capture.is_active() && is_small(tensor);
    if (mode == Mode::Snapshot || full) && tensor.count > 0 {
        let has_room = if stays {
            let lane = state.lane(device, stream, capture.id)?;
            snapshot::leave(device, lane, &mut job, tensor.nbytes())
        } else {
            let is_copied =
                snapshot::take(device, state, stream, capture.id, &mut job, tensor, full)?;
            strides = strides.filter(|_| !is_copied);
            is_copied
        };
        if !has_room {
            let lost = &device.losses.payloads_without_room;
            lost.fetch_add(u64::from(full), Ordering::Relaxed);
            if mode == Mode::Snapshot {
                mode = Mode::InStream;
            }
        }
    }
    let aligned = job.data.is_multiple_of(tensor.of.size_bytes() as u64);
    let plain = strides.is_none() && aligned;
    if !plain {
        // The kernel for any address walks over axes and strides.
        job.strides = strides.unwrap_or_else(|| row_major(&tensor.shape, tensor.axes));
    }
    let what = What {
        job,
        of: tensor.of,
        plain,
    };
    read(device, state, stream, &capture, what, mode)
}

/// Whether the tensor can be read together with others, as it lies there.
fn is_small(tensor: &Tensor) -> bool {
    tensor.of.in_batch().is_some()
        && tensor.strides.is_none()
        && blocks_for(tensor.count) == 1
        && tensor.address.is_multiple_of(tensor.of.size_bytes() as u64)
}

/// What is read: a job and how.
struct What {
    job: Job,
    of: Type,
    /// In logical order without gaps, aligned.
    plain: bool,
}

fn read(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: &Capture,
    mut what: What,
    mode: Mode,
) -> Result<(), Error> {
    let driver = &device.backend.driver;
    let blocks = blocks_for(what.job.count);
    let small = what.of.in_batch().filter(|_| what.plain && blocks == 1);
    let is_with_others = match (mode, small) {
        (Mode::Side, Some(of)) => put_off::put_off(device, state, stream, capture, &what.job, of)?,
        (Mode::Snapshot, Some(of)) => {
            let kernel = state.kernel(device, Program::Batch)?;
            let lane = state.lane(device, stream, capture.id)?;
            capture::add_to_batch(driver, lane, kernel, &what.job, of, device.ring)?
        }
        _ => false,
    };
    if is_with_others {
        return Ok(());
    }
    // Records come in the order of the calls.
    put_off::read(device, state, stream, capture)?;
    let kernel = state.tensor_kernel(device, what.of, what.plain)?;
    let lane = state.lane(device, stream, capture.id)?;
    let (mut ring, mut scratch) = (device.ring, lane.scratch);
    let mut arguments = [
        ptr::from_mut(&mut what.job).cast::<c_void>(),
        ptr::from_mut(&mut ring).cast(),
        ptr::from_mut(&mut scratch).cast(),
    ];
    let work = Work {
        kernel,
        blocks,
        threads: THREADS,
        arguments: &mut arguments,
    };
    if mode == Mode::InStream {
        join(driver, lane)?;
        launch(driver, stream, work)?;
    } else {
        launch_beside(driver, lane, work)?;
    }
    device.expect(capture, 1);
    Ok(())
}

impl Device {
    /// Ids that a record of `tokens` carries: all, as far as a slot has room.
    fn token_values(&self) -> u32 {
        let room = self.ring.slot_bytes - size_of::<Slot>() as u32;
        (room / 8).min(MAX_FIRST)
    }
}
