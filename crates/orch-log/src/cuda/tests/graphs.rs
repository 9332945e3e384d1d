//! Records of tensors that were logged inside a captured graph, replayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::fake::{self, Machine, STREAM};
use super::records::{Trace, tensor};
use crate::cuda::argument::Position;
use crate::cuda::log::{end_step, enqueue};
use crate::cuda::program::Type;
use crate::cuda::reader::Reader;
use crate::cuda::settings::{DeviceSettings, Mode};
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

    fn capture(&self, machine: &Machine, device: &crate::cuda::device::Device, detail: Detail) {
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

fn replays(mode: Mode, buffers: usize, detail: Detail) -> usize {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings {
        mode,
        ..DeviceSettings::default()
    });
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
        let expected = format!(
            "{{\"checkpoint\":\"layer_{layer}_output\",\"team\":\"test\",\"token_idx\":{},",
            100 + number
        );
        assert!(line.starts_with(&expected), "{mode:?}: {line}");
        let first: Vec<String> = (0..10)
            .map(|index| format!("{:?}", value(number, layer, index)))
            .collect();
        assert!(
            line.contains(&format!("\"values\":[{}]", first.join(","))),
            "{mode:?}: {line}"
        );
        assert!(
            line.contains(&format!("\"step\":{number},")),
            "{mode:?}: {line}"
        );
        if detail == Detail::Full {
            let bytes: Vec<u8> = (0..N)
                .flat_map(|index| value(number, layer, index).to_ne_bytes())
                .collect();
            assert_eq!(trace.payload(line), bytes, "{mode:?}: {line}");
        }
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
fn buffers_that_stay_are_read_beside_the_engine_several_at_a_time() {
    let nodes = replays(Mode::Side, CHECKPOINTS, Detail::Stats);
    // The engine's kernels, one for its counter, one for the step, and the tensors by sixteens.
    assert_eq!(nodes, CHECKPOINTS + 2 + CHECKPOINTS.div_ceil(16));
}
