//! Logging a tensor that lies in device memory.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::argument::{DeviceData, DeviceStream, Position};
use super::capture::{self, Capture};
use super::device::{Device, State};
use super::driver::{Driver, Handle};
use super::error::Error;
use super::lane::{BUFFERS, Lane};
use super::launch::{Work, blocks_for, join, launch, launch_beside, snapshot_room, take_snapshot};
use super::poller::{self, Poller};
use super::program::{Program, Type};
use super::settings::Mode;
use super::slot::{Delivery, Job, MAX_FIRST, NO_PAYLOAD, THREADS};
use super::tensor::{Tensor, axes_of, element_type, row_major, strides_of};
use crate::format::{Event, TOKENS};
use crate::recorder::Recorder;
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
        n_tokens: event.n_tokens.unwrap_or(0) as u64,
        payload_offset: NO_PAYLOAD,
        ..Job::default()
    };
    let _entered = device.enter()?;
    let mut state = device.state.lock().unwrap_or_else(PoisonError::into_inner);
    let state = &mut *state;
    let capture = Capture::of(&device.backend.driver, stream);
    let plain = tensor.strides.is_none();
    let full = detail == Detail::Full && tensor.count > 0;
    let mut mode = device.settings.mode;
    // Outside of graphs a copy, two events and a launch cost the host more than the reading costs the stream; and a strided
    // tensor cannot be copied in one go.
    if mode == Mode::Snapshot && (!capture.is_active() || !plain) {
        mode = Mode::InStream;
    }
    if (mode == Mode::Snapshot || full) && plain && tensor.count > 0 {
        let copied = snapshot(device, state, stream, capture.id, &mut job, tensor, full)?;
        if !copied && mode == Mode::Snapshot {
            mode = Mode::InStream;
        }
        if !copied && full {
            device.payloads_lost.fetch_add(1, Ordering::Relaxed);
        }
    } else if full {
        device.payloads_lost.fetch_add(1, Ordering::Relaxed);
    }
    let size = tensor.of.size_bytes() as u64;
    let aligned = job.data.is_multiple_of(size);
    match tensor.strides {
        Some(strides) => job.strides = strides,
        // The kernel for any address walks over axes and strides.
        None if !aligned => job.strides = row_major(&tensor.shape, tensor.axes),
        None => {}
    }
    read(
        device,
        state,
        stream,
        capture.id,
        job,
        tensor.of,
        plain && aligned,
        mode,
    )
}

/// Copies the tensor; the job then reads the copy. False where there is no room.
fn snapshot(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: u64,
    job: &mut Job,
    tensor: &Tensor,
    full: bool,
) -> Result<bool, Error> {
    let copy_small = state.kernel(device, Program::Common, 1)?;
    let lane = state.lane(device, stream, capture)?;
    let nbytes = tensor.count * tensor.of.size_bytes() as u64;
    let Some(to) = snapshot_room(device, lane, nbytes + 16, full) else {
        return Ok(false);
    };
    take_snapshot(&device.backend.driver, stream, copy_small, job, to, nbytes)?;
    if full {
        job.payload_offset = (to - lane.snapshots) | (u64::from(lane.index) << 48);
        job.payload_pass = lane.pass;
    }
    Ok(true)
}

#[expect(
    clippy::too_many_arguments,
    reason = "what a launch is made of; a struct would be used once"
)]
fn read(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: u64,
    mut job: Job,
    of: Type,
    plain: bool,
    mode: Mode,
) -> Result<(), Error> {
    let driver = &device.backend.driver;
    let blocks = blocks_for(job.count);
    if mode != Mode::InStream
        && capture != 0
        && plain
        && blocks == 1
        && let Some(in_batch) = of.in_batch()
    {
        let kernel = state.kernel(device, Program::Batch, 0)?;
        let lane = state.lane(device, stream, capture)?;
        if capture::add_to_batch(driver, lane, kernel, &job, in_batch, device.ring)? {
            return Ok(());
        }
    }
    let kernel = state.tensor_kernel(device, of, plain)?;
    let lane = state.lane(device, stream, capture)?;
    let (mut ring, mut scratch) = (device.ring, lane.scratch);
    let mut arguments = [
        ptr::from_mut(&mut job).cast::<c_void>(),
        ptr::from_mut(&mut ring).cast(),
        ptr::from_mut(&mut scratch).cast(),
    ];
    let work = Work {
        kernel,
        blocks,
        threads: THREADS,
        arguments: &mut arguments,
    };
    if mode != Mode::InStream {
        return launch_beside(driver, lane, work);
    }
    join(driver, lane)?;
    launch(driver, stream, work)
}

/// Ends a forward pass on `stream`: counts it, and brings the snapshots of its payloads to the host.
pub(super) fn end_step(device: &Device, detail: Detail, stream: Handle) -> Result<(), Error> {
    device.counts_steps.store(true, Ordering::Relaxed);
    let _entered = device.enter()?;
    let mut state = device.state.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = &device.backend.driver;
    let capture = Capture::of(driver, stream).id;
    let next_step = state.kernel(device, Program::Common, 0)?;
    let deliver = state.kernel(device, Program::Common, 2)?;
    let lane = state.lane(device, stream, capture)?;
    let delivered = if detail == Detail::Full {
        deliver_snapshots(device, driver, lane, deliver)
    } else {
        Ok(())
    };
    let mut step = device.ring.step;
    let mut arguments = [ptr::from_mut(&mut step).cast::<c_void>()];
    let work = Work {
        kernel: next_step,
        blocks: 1,
        threads: 1,
        arguments: &mut arguments,
    };
    launch_beside(driver, lane, work)?;
    // With `side` the engine's buffers and counters are its own again from here on.
    if capture == 0 || device.settings.mode == Mode::Side {
        join(driver, lane)?;
    }
    if capture == 0 {
        lane.used = 0;
        lane.delivered = 0;
    }
    delivered
}

fn deliver_snapshots(
    device: &Device,
    driver: &Driver,
    lane: &mut Lane,
    kernel: Handle,
) -> Result<(), Error> {
    if lane.used == lane.delivered {
        return Ok(());
    }
    let buffers = match lane.buffers {
        Some(buffers) if buffers.bytes >= lane.used => buffers,
        // Half as much again: passes of a growing context need a little more each time.
        _ => *lane.buffers.insert(device.host_buffers(
            lane.index,
            (lane.used + lane.used / 2).next_multiple_of(4096),
        )?),
    };
    let mut to = Delivery {
        buffers: buffers.device_data,
        bytes: buffers.bytes,
        buffer_count: BUFFERS as u32,
        headers: buffers.device_headers,
        pass: lane.pass,
        ticket: lane.deliver_ticket,
    };
    let (mut from, mut nbytes) = (lane.snapshots, lane.used);
    lane.delivered = lane.used;
    let mut arguments = [
        ptr::from_mut(&mut from).cast::<c_void>(),
        ptr::from_mut(&mut nbytes).cast(),
        ptr::from_mut(&mut to).cast(),
    ];
    let work = Work {
        kernel,
        blocks: if nbytes < 1 << 20 { 8 } else { 64 },
        threads: THREADS,
        arguments: &mut arguments,
    };
    launch_beside(driver, lane, work)
}

impl Device {
    /// Ids that a record of `tokens` carries: all, as far as a slot has room.
    fn token_values(&self) -> u32 {
        let room = self.ring.slot_bytes - size_of::<super::slot::Slot>() as u32;
        (room / 8).min(MAX_FIRST)
    }
}

/// What a call of `orch_log_cuda!` says besides the event.
#[derive(Debug)]
pub(super) struct Call<'a, D> {
    /// Where the tensor lies.
    pub(super) data: D,
    /// Elements.
    pub(super) count: u64,
    /// Where in the sequence.
    pub(super) position: Position,
    /// In elements, one for each axis of the shape; none without gaps.
    pub(super) strides: Option<&'a [isize]>,
}

/// Logs a tensor; what `orch_log_cuda!` expands to. The outcome is kept in the recorder's status.
pub(super) fn log<D: DeviceData>(
    recorder: &'static Recorder,
    event: &Event<'_>,
    call: &Call<'_, D>,
    stream: &impl DeviceStream,
) {
    if !recorder.wants(
        event.checkpoint,
        call.position.value,
        event.n_tokens.unwrap_or(1),
    ) && call.position.bits == 0
    {
        return;
    }
    let dtype = event.dtype.or(D::ELEMENT);
    let (Some(of), Some(strides)) = (
        dtype.and_then(|dtype| element_type(D::ELEMENT, dtype)),
        strides_of(call.strides, event.shape),
    ) else {
        let _ = recorder.refuse();
        return;
    };
    let (shape, axes) = axes_of(event.shape, call.count);
    let outcome = Poller::instance()
        .device(recorder, stream.raw())
        .and_then(|device| {
            call.data.with_address(stream.cudarc(), |address| {
                let tensor = Tensor {
                    address,
                    of,
                    count: call.count,
                    shape,
                    axes,
                    strides,
                };
                enqueue(
                    device,
                    recorder.settings().detail,
                    event,
                    &tensor,
                    call.position,
                    stream.raw(),
                )
            })
        });
    if let Err(error) = outcome {
        poller::tell(recorder, &error);
    }
}

/// Ends a forward pass; what `orch_log_cuda_step!` expands to.
pub fn step(recorder: &'static Recorder, stream: &impl DeviceStream) {
    let outcome = Poller::instance()
        .device(recorder, stream.raw())
        .and_then(|device| end_step(device, recorder.settings().detail, stream.raw()));
    if let Err(error) = outcome {
        poller::tell(recorder, &error);
    }
}

/// Waits for the devices and returns when everything that they logged is on the disk; the only call here that
/// waits. Without a trace, at once.
///
/// # Errors
///
/// The operating system could not write it.
pub fn flush() -> io::Result<()> {
    let Some(recorder) = crate::global::started() else {
        return Ok(());
    };
    Poller::instance().finish();
    recorder.flush()
}
