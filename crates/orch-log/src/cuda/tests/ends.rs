//! Graphs that come and go, devices that come to an end, passes that have none.

use std::thread;

use super::fake::{self, Machine, STREAM};
use super::records::{Trace, tensor};
use super::ring::Case;
use crate::cuda::device::Device;
use crate::cuda::driver::STREAM_PER_THREAD;
use crate::cuda::enqueue::enqueue;
use crate::cuda::error::Error;
use crate::cuda::lane::{MAX_LANES, StreamId};
use crate::cuda::program::Type;
use crate::cuda::reader::Reader;
use crate::cuda::settings::{DeviceSettings, Mode};
use crate::cuda::step::end_step;
use crate::format::Event;
use crate::settings::Detail;

fn log(device: &Device, detail: Detail, position: i64, data: &[f32]) -> Result<(), Error> {
    let (event, at) = (Event::new("x", 0), tensor(data, Type::F32));
    enqueue(device, detail, &event, &at, position.into(), STREAM)
}

/// Captures a pass and replays it once.
fn capture(machine: &Machine, device: &Device, position: i64) -> Result<(), Error> {
    let data = [position as f32; 100];
    machine.begin_capture();
    machine.engine(|_| {});
    let outcome = log(device, Detail::Full, position, &data);
    end_step(device, Detail::Full, STREAM)?;
    machine.end_capture();
    machine.replay(0);
    outcome
}

#[test]
fn an_engine_may_capture_as_often_as_it_likes() {
    for mode in [Mode::Snapshot, Mode::InStream, Mode::Side] {
        let machine = Machine::new();
        let device = machine.device_in(mode);
        let trace = Trace::new(Detail::Full);
        let mut reader = Reader::new(device, trace.recorder);
        let mut allocations = Vec::new();
        for position in 0..MAX_LANES as i64 + 100 {
            capture(&machine, device, position).unwrap();
            assert_eq!(reader.drain(false), 1);
            machine.destroy_graph();
            allocations.push(fake::with(|fake| fake.allocations));
        }
        // Nothing more was needed after the first.
        assert_eq!(allocations.first(), allocations.last(), "{mode:?}");
        for (position, line) in trace.lines().iter().enumerate() {
            assert!(
                line.contains(&format!("\"token_idx\":{position},")),
                "{line}"
            );
            let bytes = (position as f32).to_ne_bytes();
            assert_eq!(trace.payload(line), bytes.repeat(100), "{mode:?}: {line}");
        }
        assert!(trace.recorder.status().is_complete() && machine.is_as_before());
    }
}

#[test]
fn graphs_that_stay_keep_what_they_have() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings {
        snapshot_bytes: 4096,
        buffer_bytes: 1 << 20,
        ..DeviceSettings::default()
    });
    let outcomes: Vec<_> = (0..MAX_LANES as i64 + 1)
        .map(|position| capture(&machine, device, position))
        .collect();
    assert!(outcomes[..MAX_LANES].iter().all(Result::is_ok));
    assert_eq!(outcomes[MAX_LANES], Err(Error::TooMany));
}

#[test]
fn the_stream_of_each_thread_is_another_one() {
    // In another thread; a handle is no number that may cross over.
    let of = |address: usize| {
        let there = move || {
            format!(
                "{:?}",
                StreamId::of(std::ptr::without_provenance_mut(address))
            )
        };
        thread::spawn(there).join().unwrap()
    };
    let here = |address: usize| {
        format!(
            "{:?}",
            StreamId::of(std::ptr::without_provenance_mut(address))
        )
    };
    assert_eq!(here(STREAM_PER_THREAD), here(STREAM_PER_THREAD));
    assert_ne!(of(STREAM_PER_THREAD), here(STREAM_PER_THREAD));
    assert_ne!(of(STREAM_PER_THREAD), of(STREAM_PER_THREAD));
    assert_eq!(of(64), here(64));
    assert_eq!(of(0), here(0));
}

#[test]
fn what_a_crashed_device_was_asked_for_is_counted() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings::default());
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    for position in 0..5 {
        fake::with(|fake| fake.is_dead = position >= 3);
        log(device, Detail::Stats, position, &[1.0; 4]).unwrap();
    }
    reader.end();
    let status = trace.recorder.status();
    assert_eq!((status.written, status.dropped), (3, 2));
    let lines = trace.lines();
    assert!(
        lines[3].contains("\"values\":[2,0]") && lines[3].contains("a kernel crashed"),
        "{}",
        lines[3]
    );
    // How often a graph was replayed nobody says: nothing is counted that may never have been asked for.
    let device = machine.device(DeviceSettings::default());
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    log(device, Detail::Stats, 0, &[1.0; 4]).unwrap();
    fake::with(|fake| fake.is_dead = false);
    capture(&machine, device, 1).unwrap();
    reader.end();
    assert_eq!(trace.recorder.status().dropped, 0);
}

#[test]
fn a_record_that_was_never_finished_hides_none() {
    let (case, trace) = (Case::new(64), Trace::new(Detail::Stats));
    let mut reader = Reader::new(case.device, trace.recorder);
    for number in [0, 1, 4, 5] {
        case.put(number, number as f32, false, None);
    }
    assert_eq!((reader.drain(false), reader.drain(true)), (2, 0));
    reader.end();
    let status = trace.recorder.status();
    assert_eq!((status.written, status.dropped), (4, 2));
}

#[test]
fn a_pass_without_an_end_loses_payloads_alone() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings {
        slots: 64,
        ..DeviceSettings::default()
    });
    let trace = Trace::new(Detail::Full);
    let mut reader = Reader::new(device, trace.recorder);
    for position in 0..1000 {
        log(device, Detail::Full, position, &[1.0; 4]).unwrap();
        reader.drain(false);
    }
    reader.drain(true);
    let status = trace.recorder.status();
    assert_eq!((status.written, status.dropped), (1000, 0));
    assert_eq!(status.payloads_dropped, 1000);
    let error = status.last_error.unwrap().to_string();
    assert!(error.contains("orch_log_cuda_step!"), "{error}");
}

#[test]
fn a_context_that_is_gone_is_left_alone() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings::default());
    let calls = || {
        let before = fake::with(|fake| fake.calls);
        device.synchronize().unwrap();
        fake::with(|fake| fake.calls) - before
    };
    // Is it there, which is current, enter, wait, leave; and the mode for captures twice.
    assert_eq!(calls(), 7);
    fake::with(|fake| fake.host_memory = device.slots.addr() as u64);
    assert_eq!(calls(), 1);
}
