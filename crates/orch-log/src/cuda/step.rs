//! The end of a forward pass.

use std::ffi::c_void;
use std::ptr;
use std::sync::PoisonError;

use super::buffers::HostBuffers;
use super::capture::{self, Capture};
use super::device::Device;
use super::driver::Handle;
use super::error::Error;
use super::launch::{Work, join, launch_last};
use super::program::Common;
use super::put_off;
use super::settings::Mode;
use super::slot::{Backlog, Delivery, THREADS};
use super::state::State;
use crate::settings::Detail;

/// Ends a forward pass on `stream`: counts it, and brings the snapshots of its payloads to the host.
pub(super) fn end_step(device: &Device, detail: Detail, stream: Handle) -> Result<(), Error> {
    let _entered = device.enter()?;
    let mut state = device.state.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = &device.backend.driver;
    let capture = Capture::of(driver, stream);
    capture::ask_for_lease(driver, state.lane(device, stream, capture.id)?, &capture);
    let put_off = put_off::read_all(device, &mut state, stream, &capture);
    let capture = capture.id;
    let next_step = state.common_kernel(device, Common::NextStep)?;
    let lane = state.lane(device, stream, capture)?;
    let is_full = detail == Detail::Full && lane.used != lane.delivered;
    let mut delivered = Ok(());
    if is_full {
        delivered = deliver_snapshots(device, &mut state, stream, capture);
    }
    if device.settings.wait_ns > 0 {
        // Records wait for their payloads: for the host to have read them these must have been brought.
        let waited = wait_for_host(device, &mut state, stream, capture, None);
        delivered = delivered.and(waited);
    }
    let lane = state.lane(device, stream, capture)?;
    let mut step = device.ring.step;
    let mut arguments = [ptr::from_mut(&mut step).cast::<c_void>()];
    let work = Work {
        kernel: next_step,
        blocks: 1,
        threads: 1,
        arguments: &mut arguments,
    };
    launch_last(driver, lane, work)?;
    // With `side` the engine's buffers and counters are its own again from here on.
    if device.settings.mode == Mode::Side {
        join(driver, lane)?;
    }
    if capture == 0 {
        lane.used = 0;
        lane.delivered = 0;
    }
    put_off.and(delivered)
}

/// Brings the lane's payloads to the host.
fn deliver_snapshots(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: u64,
) -> Result<(), Error> {
    let kernel = state.common_kernel(device, Common::Deliver)?;
    let pieces_kernel = state.common_kernel(device, Common::DeliverPieces)?;
    let lane = state.lane(device, stream, capture)?;
    let buffers = match lane.buffers {
        Some(buffers) if buffers.bytes >= lane.used => buffers,
        None if device.deliveries.is_given_up(lane.index) => return Ok(()),
        known => match (device.host_buffers(lane.index, lane.used), known) {
            (Ok(buffers), _) => *lane.buffers.insert(buffers),
            // What fits into the smaller ones comes: of no pass does it depend on the time what is lost.
            (Err(_), Some(smaller)) => smaller,
            (Err(_), None) => {
                // Each of the records counts the payload that it has to go without.
                device.deliveries.give_up(lane.index);
                return Ok(());
            }
        },
    };
    if device.settings.wait_ns > 0 {
        wait_for_host(device, state, stream, capture, Some(buffers))?;
    }
    let lane = state.lane(device, stream, capture)?;
    let mut to = Delivery {
        buffers: buffers.device_data,
        bytes: buffers.bytes,
        buffer_count: buffers.count as u32,
        headers: buffers.device_words,
        pass: lane.pass,
        ticket: lane.deliver_ticket,
    };
    let (mut from, mut nbytes) = (lane.snapshots, lane.used.min(buffers.bytes));
    lane.delivered = lane.used;
    let driver = &device.backend.driver;
    if lane.pieces.is_empty() {
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
        return launch_last(driver, lane, work);
    }
    // What stayed as it was is brought from where it is.
    let mut pieces = std::mem::take(&mut lane.pieces);
    pieces.retain(|piece| piece.offset + piece.nbytes <= buffers.bytes);
    let mut table = lane.table(device, &pieces)?;
    let mut count = pieces.len() as u32;
    let mut arguments = [
        ptr::from_mut(&mut table).cast::<c_void>(),
        ptr::from_mut(&mut count).cast(),
        ptr::from_mut(&mut nbytes).cast(),
        ptr::from_mut(&mut to).cast(),
    ];
    let work = Work {
        kernel: pieces_kernel,
        blocks: count.min(128),
        threads: THREADS,
        arguments: &mut arguments,
    };
    launch_last(driver, lane, work)
}

/// Lets the pass wait: where there are `buffers` until the next of them is free, else until the ring has room.
fn wait_for_host(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: u64,
    buffers: Option<HostBuffers>,
) -> Result<(), Error> {
    let kernel = state.common_kernel(device, Common::WaitForHost)?;
    let lane = state.lane(device, stream, capture)?;
    let mut backlog = Backlog {
        ticket: device.ring.ticket,
        read: device.read_address(),
        most_records: u64::from(device.ring.slot_count / 2),
        limit_ns: device.settings.wait_ns,
        waited_ns: device.waited_address(lane.index),
        ..Backlog::default()
    };
    if let Some(buffers) = buffers {
        backlog.most_records = u64::MAX;
        backlog.pass = lane.pass;
        backlog.taken = buffers.device_taken();
        backlog.buffer_count = buffers.count as u32;
    }
    let mut arguments = [ptr::from_mut(&mut backlog).cast::<c_void>()];
    let work = Work {
        kernel,
        blocks: 1,
        threads: 1,
        arguments: &mut arguments,
    };
    launch_last(&device.backend.driver, lane, work)
}
