//! What a pass of an engine gets from us: nodes of its graph, launches outside of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::fake::{self, Machine, OTHER_STREAM, STREAM, Shape};
use super::records::{Trace, tensor};
use crate::cuda::device::Device;
use crate::cuda::driver::Handle;
use crate::cuda::enqueue::enqueue;
use crate::cuda::program::Type;
use crate::cuda::reader::Reader;
use crate::cuda::settings::Mode;
use crate::cuda::step::end_step;
use crate::cuda::tensor::Tensor;
use crate::format::Event;
use crate::settings::Detail;

fn in_mode(machine: &Machine, mode: Mode) -> &'static Device {
    machine.device_in(mode)
}

fn log_in(device: &Device, stream: Handle, name: &str, data: &[f32]) {
    let at = Tensor {
        is_known: true,
        ..tensor(data, Type::F32)
    };
    let event = Event::new(name, 0);
    enqueue(device, Detail::Stats, &event, &at, 0.into(), stream).unwrap();
}

fn end(device: &Device) {
    end_step(device, Detail::Stats, STREAM).unwrap();
}

/// Elements of the checkpoints of a layer of SmolLM2, in the order in which the worker logs them. The first three but one are
/// logged together.
const LAYER: [usize; 15] = [
    576, 576, 192, 192, 576, 192, 576, 576, 576, 576, 1536, 1536, 1536, 576, 576,
];
const LAYERS: usize = 30;
const VOCABULARY: usize = 49152;

/// The graph of one pass, and how many records a replay of it makes.
fn capture(mode: Mode) -> (Shape, usize) {
    let machine = Machine::new();
    let device = in_mode(&machine, mode);
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let data = vec![1.0f32; VOCABULARY];
    let log = |name: &str, n: usize| log_in(device, STREAM, name, &data[..n]);
    machine.begin_capture();
    machine.engine(|_| {});
    log("embedding", 576);
    for layer in 0..LAYERS {
        for (index, n) in LAYER.into_iter().enumerate() {
            if !(2..4).contains(&index) {
                machine.engine(|_| {});
            }
            log(&format!("layer_{layer}_{index}"), n);
        }
    }
    machine.engine(|_| {});
    log("final_norm", 576);
    machine.engine(|_| {});
    log("logits", VOCABULARY);
    end(device);
    machine.engine(|_| {});
    machine.end_capture();
    let shape = machine.shape();
    machine.replay(0);
    let records = reader.drain(true);
    assert!(trace.recorder.status().is_complete() && machine.is_as_before());
    (shape, records)
}

#[test]
fn a_captured_pass_stays_a_chain_where_buffers_stay() {
    // One node for all small tensors, one for the logits, one for the step, each after the one before.
    let side = Shape {
        nodes: 3,
        edges: 3,
        forks: 0,
    };
    assert_eq!(capture(Mode::Side), (side, 453));
    // The copies are in the engine's chain; beside it one node for sixteen of them.
    let (snapshot, records) = capture(Mode::Snapshot);
    assert_eq!((snapshot.nodes, records), (453 + 29 + 1 + 1, 453));
    let (in_stream, records) = capture(Mode::InStream);
    assert_eq!((in_stream.nodes, records), (453 + 1, 453));
}

#[test]
fn outside_of_graphs_tensors_that_stay_are_read_sixteen_at_a_time() {
    let machine = Machine::new();
    let device = in_mode(&machine, Mode::Side);
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let mut launches = Vec::new();
    for pass in 0..3u16 {
        // Others than in the pass before, and the same until this one ends.
        let data: Vec<Vec<f32>> = (0..40u16)
            .map(|i| vec![f32::from(100 * pass + i); 20])
            .collect();
        let before = fake::with(|fake| fake.launches);
        for (index, data) in data.iter().enumerate() {
            log_in(device, STREAM, &format!("x_{index}"), data);
        }
        end(device);
        launches.push(fake::with(|fake| fake.launches) - before);
        drop(data);
        assert_eq!(reader.drain(false), 40);
    }
    // In the first pass nobody knows yet that it will end.
    assert_eq!(launches, [40 + 1, 3 + 1, 3 + 1]);
    for (at, line) in trace.lines().iter().enumerate() {
        let (pass, index) = (at / 40, at % 40);
        let value = (100 * pass + index) as f32;
        for part in [
            format!("\"checkpoint\":\"x_{index}\""),
            format!("\"values\":[{value:?},"),
            format!("\"step\":{pass},"),
        ] {
            assert!(line.contains(&part), "{part} is not in {line}");
        }
    }
    assert!(trace.recorder.status().is_complete() && machine.is_as_before());
}

/// Payloads of a captured pass are brought from where the tensors are, but for those that are not read with the others.
#[test]
fn payloads_of_tensors_that_stay() {
    let machine = Machine::new();
    let device = in_mode(&machine, Mode::Side);
    let trace = Trace::new(Detail::Full);
    let mut reader = Reader::new(device, trace.recorder);
    let sizes = [20, 50_000, 5000, 6];
    let buffers = sizes.map(|n| Arc::new((0..n).map(|_| AtomicU32::new(0)).collect::<Vec<_>>()));
    let value = |number: u64, which: usize, index: usize| {
        (1_000_000 * which + 100_000 * number as usize + index) as f32
    };
    machine.begin_capture();
    for (which, buffer) in buffers.iter().enumerate() {
        let written = buffer.clone();
        machine.engine(move |number| {
            for (index, element) in written.iter().enumerate() {
                element.store(value(number, which, index).to_bits(), Ordering::Relaxed);
            }
        });
        let mut at = Tensor {
            address: buffer.as_ptr().expose_provenance() as u64,
            ..tensor(&vec![0f32; buffer.len()], Type::F32)
        };
        if which == 3 {
            // A 2×3 matrix, transposed.
            at.shape = [3, 2, 0, 0, 0, 0, 0, 0];
            at.axes = 2;
            at.strides = Some([1, 3, 0, 0, 0, 0, 0, 0]);
        }
        let event = Event::new("x", 0);
        enqueue(
            device,
            Detail::Full,
            &event,
            &at,
            (which as i64).into(),
            STREAM,
        )
        .unwrap();
    }
    end_step(device, Detail::Full, STREAM).unwrap();
    // After the pass the engine may do with them what it likes.
    for buffer in buffers {
        machine.engine(move |_| {
            buffer
                .iter()
                .for_each(|element| element.store(0, Ordering::Relaxed))
        });
    }
    machine.end_capture();
    for number in 0..3 {
        machine.replay(number);
        assert_eq!(reader.drain(false), 4);
    }
    for (at, line) in trace.lines().iter().enumerate() {
        let (number, which) = ((at / 4) as u64, at % 4);
        assert!(line.contains(&format!("\"token_idx\":{which},")), "{line}");
        let order: Vec<usize> = match which {
            3 => vec![0, 3, 1, 4, 2, 5],
            _ => (0..sizes[which]).collect(),
        };
        let expected: Vec<u8> = order
            .into_iter()
            .flat_map(|index| value(number, which, index).to_ne_bytes())
            .collect();
        assert!(trace.payload(line) == expected, "{line}");
    }
    assert!(trace.recorder.status().is_complete() && machine.is_as_before());
}

/// How much of the driver a record outside of graphs takes, besides finding its context.
#[test]
fn calls_of_the_driver() {
    let machine = Machine::new();
    for (is_current, mode, expected) in [
        // Context, capture mode and back, capture, launch; the last of sixteen that were put off adds its launch.
        (true, Mode::Snapshot, [5; 16]),
        (
            true,
            Mode::Side,
            std::array::from_fn(|at| if at == 15 { 5 } else { 4 }),
        ),
        // To another context and back.
        (false, Mode::Snapshot, [7; 16]),
    ] {
        fake::with(|fake| fake.current = if is_current { fake::CONTEXT.addr() } else { 0 });
        let device = in_mode(&machine, mode);
        // Kernels are loaded, and the pass is known to end.
        for pass in [1, 16] {
            (0..pass).for_each(|_| log_in(device, STREAM, "x", &[1.0f32; 20]));
            end(device);
        }
        let calls: [usize; 16] = std::array::from_fn(|_| {
            let before = fake::with(|fake| fake.calls);
            log_in(device, STREAM, "x", &[1.0f32; 20]);
            fake::with(|fake| fake.calls) - before
        });
        assert_eq!(calls, expected, "{mode:?}");
    }
    assert!(machine.is_as_before());
}

/// What another stream of a capture put off is read at the end of the pass too, before anything comes after it.
#[test]
fn two_streams_of_one_capture() {
    let machine = Machine::new();
    let device = in_mode(&machine, Mode::Side);
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let buffers: [Arc<Vec<AtomicU32>>; 2] =
        [0, 1].map(|_| Arc::new((0..20).map(|_| AtomicU32::new(0)).collect()));
    let write = |buffer: &Arc<Vec<AtomicU32>>, value: f32| {
        let buffer = buffer.clone();
        move |number: u64| {
            for element in buffer.iter() {
                element.store((value + number as f32).to_bits(), Ordering::Relaxed);
            }
        }
    };
    let log = |stream, name: &str, buffer: &Arc<Vec<AtomicU32>>| {
        let at = Tensor {
            address: buffer.as_ptr().expose_provenance() as u64,
            ..tensor(&[0f32; 20], Type::F32)
        };
        let event = Event::new(name, 0);
        enqueue(device, Detail::Stats, &event, &at, 0.into(), stream).unwrap();
    };
    machine.begin_capture();
    machine.engine(|_| {});
    machine.fork_capture();
    machine.engine_in(STREAM, write(&buffers[0], 10.0));
    log(STREAM, "first", &buffers[0]);
    machine.engine_in(OTHER_STREAM, write(&buffers[1], 20.0));
    log(OTHER_STREAM, "second", &buffers[1]);
    machine.join_capture();
    end(device);
    machine.engine(write(&buffers[0], 1000.0));
    machine.engine(write(&buffers[1], 1000.0));
    machine.end_capture();
    for number in 0..3 {
        machine.replay(number);
    }
    assert_eq!(reader.drain(false), 6);
    let lines = trace.lines();
    for number in 0..3 {
        for (name, value) in [("first", 10 + number), ("second", 20 + number)] {
            let is_it = |line: &&String| {
                line.contains(&format!("\"checkpoint\":\"{name}\""))
                    && line.contains(&format!("\"values\":[{value}.0,"))
                    && line.contains(&format!("\"step\":{number},"))
            };
            assert_eq!(
                lines.iter().filter(is_it).count(),
                1,
                "{name} {value} in {lines:#?}"
            );
        }
    }
    assert!(trace.recorder.status().is_complete() && machine.is_as_before());
}

#[test]
fn a_pass_without_an_end_is_told_of() {
    let machine = Machine::new();
    let device = in_mode(&machine, Mode::Side);
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let data = [1.0f32; 20];
    machine.begin_capture();
    for name in ["a", "b", "c"] {
        machine.engine(|_| {});
        log_in(device, STREAM, name, &data);
    }
    machine.end_capture();
    machine.replay(0);
    assert_eq!(reader.drain(true), 0);
    // The stream goes on: nobody can end that pass any more.
    log_in(device, STREAM, "d", &data);
    end(device);
    assert_eq!(reader.drain(false), 1);
    let status = trace.recorder.status();
    assert_eq!((status.written, status.dropped), (1, 3));
    let told = &trace.lines()[0];
    assert!(
        told.contains("\"values\":[3,0]") && told.contains("orch_log_cuda_step!"),
        "{told}"
    );
    // Outside of graphs a pass may yet end, unless the process does.
    log_in(device, STREAM, "e", &data);
    assert_eq!(
        (reader.drain(false), trace.recorder.status().dropped),
        (0, 3)
    );
    device.give_up();
    reader.drain(true);
    assert_eq!(trace.recorder.status().dropped, 4);
}

#[test]
fn no_memory_for_what_was_put_off_is_counted() {
    let machine = Machine::new();
    let device = in_mode(&machine, Mode::Side);
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    machine.begin_capture();
    for name in ["a", "b", "c"] {
        machine.engine(|_| {});
        log_in(device, STREAM, name, &[1.0f32; 20]);
    }
    fake::with(|fake| fake.memory_ends_after = Some(0));
    let outcome = end_step(device, Detail::Stats, STREAM);
    assert!(outcome.is_err(), "{outcome:?}");
    machine.end_capture();
    machine.replay(0);
    assert_eq!(reader.drain(true), 0);
    // The third is counted by whoever gets the error.
    assert_eq!(trace.recorder.status().dropped, 2);
    assert!(machine.is_as_before());
}

/// What three passes of two tensors say of their step. The host reads when each of them has ended, or before.
fn steps(is_said: bool, reads_late: bool, in_graph: bool) -> Vec<Option<u64>> {
    let machine = Machine::new();
    let device = in_mode(&machine, Mode::InStream);
    device
        .backend
        .counts_steps
        .store(is_said, Ordering::Relaxed);
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let mut read = |is_late: bool| {
        if is_late == reads_late {
            reader.drain(false);
        }
    };
    let log = |name: &str| log_in(device, STREAM, name, &[1.0; 20]);
    if in_graph {
        machine.begin_capture();
        log("x");
        log("y");
        end(device);
        machine.end_capture();
        for position in 0..3 {
            machine.replay(position);
            read(true);
        }
        // A graph's passes cannot be read before they end, but all at once.
        read(false);
    } else {
        for _ in 0..3 {
            log("x");
            log("y");
            read(false);
            end(device);
            read(true);
        }
    }
    let lines = trace.lines();
    let steps = lines.iter().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.get("step").map(|step| step.as_u64().unwrap())
    });
    steps.collect()
}

#[test]
fn when_a_record_is_read_does_not_decide_whether_it_says_its_step() {
    for (reads_late, in_graph) in [(false, false), (true, false), (false, true), (true, true)] {
        let all = [0, 0, 1, 1, 2, 2].map(Some);
        assert_eq!(
            steps(true, reads_late, in_graph),
            all,
            "{reads_late} {in_graph}"
        );
        // Of an engine that does not say that it ends passes nobody knows it before the first of them has ended.
        let known = [None, None, Some(1), Some(1), Some(2), Some(2)];
        assert_eq!(
            steps(false, reads_late, in_graph),
            known,
            "{reads_late} {in_graph}"
        );
    }
}
