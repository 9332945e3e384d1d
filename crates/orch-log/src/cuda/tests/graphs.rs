//! Records of tensors that were logged inside a captured graph, replayed.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::fake::{self, Machine, STREAM};
use super::records::{Trace, tensor};
use crate::cuda::argument::Position;
use crate::cuda::device::Device;
use crate::cuda::enqueue::enqueue;
use crate::cuda::program::Type;
use crate::cuda::reader::Reader;
use crate::cuda::settings::{DeviceSettings, Mode};
use crate::cuda::step::end_step;
use crate::cuda::tensor::Tensor;
use crate::format::Event;
use crate::settings::Detail;

const CHECKPOINTS: usize = 40;
const N: usize = 24;

/// Element `index` of checkpoint `layer` in replay `number`.
fn value(number: u64, layer: usize, index: usize) -> f32 {
    (number * 64) as f32 + layer as f32 + index as f32 / 4.0
}

/// An engine whose step writes `buffers` buffers in turn, and a counter of positions that it advances at the end.
struct Engine {
    buffers: Vec<Arc<Vec<AtomicU32>>>,
    position: Arc<AtomicI32>,
}

impl Engine {
    fn new(buffers: usize) -> Self {
        let buffer = || Arc::new((0..N).map(|_| AtomicU32::new(0)).collect());
        Self {
            buffers: (0..buffers).map(|_| buffer()).collect(),
            position: Arc::new(AtomicI32::new(0)),
        }
    }

    fn capture(&self, machine: &Machine, device: &Device, detail: Detail) {
        let position =
            Position::counter_i32(self.position.as_ptr().expose_provenance() as u64, 100);
        machine.begin_capture();
        for layer in 0..CHECKPOINTS {
            let buffer = self.buffers[layer % self.buffers.len()].clone();
            let at = Tensor {
                address: buffer.as_ptr().expose_provenance() as u64,
                ..tensor(&[0f32; N], Type::F32)
            };
            machine.engine(move |number| {
                for (index, element) in buffer.iter().enumerate() {
                    element.store(value(number, layer, index).to_bits(), Ordering::Relaxed);
                }
            });
            let name = format!("layer_{layer}_output");
            enqueue(device, detail, &Event::new(&name, 0), &at, position, STREAM).unwrap();
        }
        end_step(device, detail, STREAM).unwrap();
        let position = self.position.clone();
        machine.engine(move |_| {
            position.fetch_add(1, Ordering::Relaxed);
        });
        machine.end_capture();
    }
}

/// Whether `line` is what checkpoint `layer` of replay `number` is to say.
fn check(trace: &Trace, line: &str, number: u64, layer: usize, detail: Detail) {
    let expected = format!(
        "{{\"checkpoint\":\"layer_{layer}_output\",\"team\":\"test\",\"token_idx\":{},",
        100 + number
    );
    assert!(line.starts_with(&expected), "{line}");
    let first: Vec<String> = (0..10)
        .map(|index| format!("{:?}", value(number, layer, index)))
        .collect();
    assert!(
        line.contains(&format!("\"values\":[{}]", first.join(","))),
        "{line}"
    );
    assert!(line.contains(&format!("\"step\":{number},")), "{line}");
    if detail == Detail::Full {
        let bytes: Vec<u8> = (0..N)
            .flat_map(|index| value(number, layer, index).to_ne_bytes())
            .collect();
        assert_eq!(trace.payload(line), bytes, "{line}");
    }
}

fn replays(mode: Mode, buffers: usize, detail: Detail) -> usize {
    let machine = Machine::new();
    let device = machine.device_in(mode);
    let trace = Trace::new(detail);
    let mut reader = Reader::new(device, trace.recorder);
    let engine = Engine::new(buffers);
    engine.capture(&machine, device, detail);
    let nodes = fake::with(|fake| fake.launches);
    assert_eq!(reader.drain(true), 0, "nothing is logged while capturing");
    for number in 0..5 {
        machine.replay(number);
        // Full detail is read before the next replay but one takes the host's buffers; so is this.
        assert_eq!(reader.drain(false), CHECKPOINTS, "{mode:?}");
    }
    let lines = trace.lines();
    assert_eq!(lines.len(), 5 * CHECKPOINTS);
    for (at, line) in lines.iter().enumerate() {
        let (number, layer) = ((at / CHECKPOINTS) as u64, at % CHECKPOINTS);
        check(&trace, line, number, layer, detail);
    }
    assert!(trace.recorder.status().is_complete() && machine.is_as_before());
    nodes
}

/// The fake device runs the engine as far ahead as it may: only copies keep what the engine writes over.
#[test]
fn a_reused_buffer_is_logged_as_it_was() {
    for detail in [Detail::Stats, Detail::Full] {
        replays(Mode::Snapshot, 1, detail);
        replays(Mode::InStream, 1, detail);
    }
}

#[test]
fn buffers_that_stay_are_read_all_at_once() {
    for detail in [Detail::Stats, Detail::Full] {
        let nodes = replays(Mode::Side, CHECKPOINTS, detail);
        // The engine's kernels, one for its counter, one for the step, one for all tensors, one for all payloads.
        let more = usize::from(detail == Detail::Full);
        assert_eq!(nodes, CHECKPOINTS + 3 + more);
    }
}

/// Replays that come before the host has read any.
fn burst(settings: DeviceSettings, replays: u64, host_reads: bool) -> (Trace, &'static Device) {
    let machine = Machine::new();
    let device = machine.device(settings);
    let trace = Trace::new(Detail::Full);
    let reader = Arc::new(Mutex::new(Reader::new(device, trace.recorder)));
    if host_reads {
        let reader = reader.clone();
        machine.while_waiting(move || {
            reader.lock().unwrap().drain(false);
        });
    }
    Engine::new(1).capture(&machine, device, Detail::Full);
    for number in 0..replays {
        machine.replay(number);
    }
    reader.lock().unwrap().drain(true);
    (trace, device)
}

#[test]
fn a_burst_of_passes_has_room() {
    let settings = DeviceSettings {
        slots: 8192,
        ..DeviceSettings::default()
    };
    let (trace, device) = burst(settings, 100, false);
    let lines = trace.lines();
    assert_eq!(lines.len(), 100 * CHECKPOINTS);
    for (at, line) in lines.iter().enumerate() {
        let (number, layer) = ((at / CHECKPOINTS) as u64, at % CHECKPOINTS);
        check(&trace, line, number, layer, Detail::Full);
    }
    assert!(trace.recorder.status().is_complete());
    assert_eq!(device.waited_ns(), 0);
}

/// 1 MB holds 32 passes of 40 snapshots of 256 bytes, half as much again, in pages.
const ONE_MEGABYTE: DeviceSettings = DeviceSettings {
    mode: Mode::Snapshot,
    snapshot_bytes: 64 << 20,
    buffer_bytes: 1 << 20,
    wait_ns: 0,
    slots: 8192,
};

#[test]
fn payloads_that_have_no_room_are_counted_and_told_of_once() {
    let (trace, _) = burst(ONE_MEGABYTE, 100, false);
    let lines = trace.lines();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("orch_log.dropped"))
        .collect();
    let lost = (100 - 32) * CHECKPOINTS;
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains(&format!("\"values\":[0,{lost}]"))
            && told[0].contains("ORCH_LOG_CUDA_BUFFERS"),
        "{}",
        told[0]
    );
    let records = lines.iter().filter(|line| line.contains("_output"));
    for (at, line) in records.enumerate() {
        let (number, layer) = ((at / CHECKPOINTS) as u64, at % CHECKPOINTS);
        let has_payload = number >= 68;
        assert_eq!(line.contains("\"payload\""), has_payload, "{line}");
        let detail = if has_payload {
            Detail::Full
        } else {
            Detail::Stats
        };
        check(&trace, line, number, layer, detail);
    }
    let status = trace.recorder.status();
    assert_eq!(
        (status.written, status.dropped),
        (100 * CHECKPOINTS as u64, 0)
    );
    assert_eq!(status.payloads_dropped, lost as u64);
}

#[test]
fn passes_that_may_wait_lose_nothing() {
    let settings = DeviceSettings {
        wait_ns: 1_000_000_000,
        // Three passes: each waits until those before are read.
        slots: 128,
        ..ONE_MEGABYTE
    };
    let (trace, device) = burst(settings, 100, true);
    let lines = trace.lines();
    assert_eq!(lines.len(), 100 * CHECKPOINTS);
    for (at, line) in lines.iter().enumerate() {
        let (number, layer) = ((at / CHECKPOINTS) as u64, at % CHECKPOINTS);
        check(&trace, line, number, layer, Detail::Full);
    }
    assert!(trace.recorder.status().is_complete());
    assert!(device.waited_ns() > 0);
    // A host that never reads holds passes up for as long as is allowed, and no longer; the first has room.
    let wait_ns = 5_000_000;
    let (trace, device) = burst(
        DeviceSettings {
            wait_ns,
            ..settings
        },
        4,
        false,
    );
    assert_eq!(device.waited_ns(), 3 * wait_ns);
    assert!(!trace.recorder.status().is_complete());
}
