//! Tensors that stay as they are until the pass ends (mode `side`): read together then, in the engine's stream.
//!
//! Beside the engine's work they could be read sooner, but each would be a place where a graph forks; one kernel for all of
//! a pass takes about as long as three for single tensors.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::Ordering;

use super::capture::{self, Capture};
use super::device::Device;
use super::driver::Handle;
use super::error::Error;
use super::launch::{Work, join, launch};
use super::program::Program;
use super::slot::{BATCH_JOBS, Batch, Entry, Job, THREADS};
use super::state::State;

/// Puts a tensor off, if the pass has an end to read it at; false where it has not.
pub(super) fn put_off(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: &Capture,
    job: &Job,
    of: u8,
) -> Result<bool, Error> {
    let lane = state.lane(device, stream, capture.id)?;
    // Whoever captures in this mode ends the pass; outside of graphs it may be another stream's that is ended.
    if !capture.is_active() && !lane.put_off.has_ends {
        return Ok(false);
    }
    lane.put_off.entries.push(Entry {
        job: *job,
        of: u32::from(of),
        reserved: 0,
    });
    lane.put_off.waits_for.clone_from(&capture.waits_for);
    if !capture.is_active() && lane.put_off.entries.len() == BATCH_JOBS {
        read(device, state, stream, capture)?;
    }
    Ok(true)
}

/// Enqueues the reading of what was put off in `stream` so far, after the work that `capture` says.
pub(super) fn read(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: &Capture,
) -> Result<(), Error> {
    let lane = state.lane(device, stream, capture.id)?;
    if lane.put_off.entries.is_empty() {
        return Ok(());
    }
    let entries = std::mem::take(&mut lane.put_off.entries);
    let outcome = if capture.is_active() {
        read_table(device, state, stream, capture, &entries)
    } else {
        read_batch(device, state, stream, &entries)
    };
    if outcome.is_ok() {
        device.expect(capture, entries.len() as u64);
    } else {
        // One is counted by whoever gets the error.
        let others = entries.len() as u64 - 1;
        device.losses.failed.fetch_add(others, Ordering::Relaxed);
    }
    outcome
}

/// Ends the pass in `stream`: all that was put off is read before its next work, also what other streams of the same
/// capture put off.
pub(super) fn read_all(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: &Capture,
) -> Result<(), Error> {
    state.lane(device, stream, capture.id)?.put_off.has_ends = true;
    if capture.is_active() {
        let others = state.lanes.iter().filter(|lane| {
            lane.capture == capture.id && lane.stream != stream && !lane.put_off.entries.is_empty()
        });
        let others: Vec<_> = others
            .map(|lane| (lane.stream, lane.put_off.waits_for.clone()))
            .collect();
        for (other, waits_for) in others {
            let after = Capture {
                waits_for,
                ..capture.clone()
            };
            read(device, state, other, &after)?;
            let driver = &device.backend.driver;
            let nodes = &mut state.lane(device, other, capture.id)?.nodes;
            capture::make_wait(driver, stream, nodes)?;
        }
        return read(
            device,
            state,
            stream,
            &Capture::of(&device.backend.driver, stream),
        );
    }
    read(device, state, stream, capture)
}

/// Outside of graphs: as many as fit into a launch.
fn read_batch(
    device: &Device,
    state: &mut State,
    stream: Handle,
    entries: &[Entry],
) -> Result<(), Error> {
    let driver = &device.backend.driver;
    let kernel = state.kernel(device, Program::Batch)?;
    let lane = state.lane(device, stream, 0)?;
    // Kernels of a lane come one after the other: they share its scratch.
    join(driver, lane)?;
    let mut batch = Batch::empty();
    for (place, entry) in entries.iter().enumerate() {
        batch.jobs[place] = entry.job;
        batch.types[place] = entry.of as u8;
    }
    batch.count = entries.len() as u32;
    let (mut ring, mut scratch) = (device.ring, lane.scratch);
    let mut arguments = [
        ptr::from_mut(&mut batch).cast::<c_void>(),
        ptr::from_mut(&mut ring).cast(),
        ptr::from_mut(&mut scratch).cast(),
    ];
    let work = Work {
        kernel,
        blocks: entries.len() as u32,
        threads: THREADS,
        arguments: &mut arguments,
    };
    launch(driver, stream, work)
}

/// In a graph: all of them, from a table that the graph keeps.
fn read_table(
    device: &Device,
    state: &mut State,
    stream: Handle,
    capture: &Capture,
    entries: &[Entry],
) -> Result<(), Error> {
    let driver = &device.backend.driver;
    let kernel = state.kernel(device, Program::Table)?;
    let lane = state.lane(device, stream, capture.id)?;
    let mut table = lane.table(device, entries)?;
    let (mut ring, mut scratch) = (device.ring, lane.scratch);
    let mut arguments = [
        ptr::from_mut(&mut table).cast::<c_void>(),
        ptr::from_mut(&mut ring).cast(),
        ptr::from_mut(&mut scratch).cast(),
    ];
    let work = Work {
        kernel,
        blocks: entries.len() as u32,
        threads: THREADS,
        arguments: &mut arguments,
    };
    capture::add_after(driver, lane, capture.clone(), work)
}
