//! Payloads on their way to the trace. The same cases as those of the C++ header's `reader.cu`.

use super::fake::{self, Machine, STREAM};
use super::records::{Trace, tensor};
use super::ring::Case;
use crate::Recorder;
use crate::cuda::buffers::HostBuffers;
use crate::cuda::enqueue::enqueue;
use crate::cuda::program::Type;
use crate::cuda::reader::Reader;
use crate::cuda::settings::{DeviceSettings, Mode};
use crate::cuda::step::end_step;
use crate::cuda::tensor::Tensor;
use crate::format::Event;
use crate::settings::{Detail, Settings, TokenSet};

const LANE: u32 = 3;

/// A lane's buffers, which the test fills as the device would.
struct Filled(HostBuffers);

impl Filled {
    fn new(case: &Case, nbytes: u64) -> Self {
        Self(case.device.host_buffers(LANE, nbytes).unwrap())
    }

    fn place(offset: u64) -> u64 {
        (u64::from(LANE) << 48) | offset
    }

    fn set(&self, word: u64, value: u64) {
        // SAFETY: three words for each buffer.
        unsafe {
            self.0
                .words
                .add(word as usize)
                .cast_mut()
                .write_volatile(value);
        };
    }

    fn word(&self, word: u64) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.words.add(word as usize).read_volatile() }
    }

    /// What the host says that it needs no more of the buffer of `pass`.
    fn taken(&self, pass: u64) -> u64 {
        self.word(2 * self.0.count + pass % self.0.count)
    }

    fn write(&self, pass: u64, offset: u64, bytes: &[u8]) {
        let at = pass % self.0.count * self.0.bytes + offset;
        // SAFETY: inside the buffer.
        unsafe {
            let to = self.0.data.add(at as usize).cast_mut();
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        };
    }

    fn arrives(&self, pass: u64, nbytes: u64) {
        let buffer = pass % self.0.count;
        self.set(2 * buffer + 1, nbytes);
        self.set(2 * buffer, pass + 1);
    }
}

/// The elements of the record that [`Case::put`] makes of `value`.
fn elements(value: f32) -> Vec<u8> {
    [value, value + 1.0]
        .iter()
        .flat_map(|x| x.to_ne_bytes())
        .collect()
}

#[test]
fn a_record_waits_for_its_payload() {
    let (case, trace) = (Case::new(64), Trace::new(Detail::Full));
    let mut reader = Reader::new(case.device, trace.recorder);
    let buffers = Filled::new(&case, 256);
    case.put(0, 5.0, false, Some((Filled::place(64), 0)));
    assert_eq!(reader.drain(false), 0);
    buffers.write(0, 64, &elements(5.0));
    buffers.arrives(0, 128);
    assert_eq!(reader.drain(false), 1);
    assert_eq!(trace.payload(&trace.lines()[0]), elements(5.0));
    // A later pass has taken the buffer: the record is written without, and that is counted.
    buffers.arrives(buffers.0.count + 1, 128);
    case.put(1, 6.0, false, Some((Filled::place(64), 1)));
    assert_eq!(reader.drain(false), 1);
    assert!(!trace.lines()[1].contains("payload"));
    let status = trace.recorder.status();
    assert_eq!((status.dropped, status.payloads_dropped), (0, 1));
    // One whose delivery never comes is written at the end.
    let later = buffers.0.count + 9;
    case.put(2, 7.0, false, Some((Filled::place(64), later)));
    assert_eq!((reader.drain(false), reader.drain(true)), (0, 1));
    assert_eq!(trace.recorder.status().payloads_dropped, 2);
}

#[test]
fn a_pass_is_written_once_and_its_buffer_free_then() {
    let (case, trace) = (Case::new(64), Trace::new(Detail::Full));
    let mut reader = Reader::new(case.device, trace.recorder);
    let buffers = Filled::new(&case, 4096);
    for number in 0..3u16 {
        buffers.write(0, 256 * u64::from(number), &elements(number.into()));
        let place = Filled::place(256 * u64::from(number));
        case.put(number.into(), number.into(), false, Some((place, 0)));
    }
    buffers.arrives(0, 768);
    assert_eq!(buffers.taken(0), 0);
    assert_eq!((reader.drain(false), buffers.taken(0)), (3, 1));
    // The device writes over it: what has been written stays.
    buffers.write(0, 0, &[0xff; 768]);
    for (number, line) in trace.lines().iter().enumerate() {
        assert!(line.contains(&format!("\"offset\":{},\"nbytes\":8", 256 * number)));
        assert_eq!(trace.payload(line), elements(number as f32));
    }
    // Passes that were stepped over are waited for by nobody either.
    case.put(3, 9.0, false, Some((Filled::place(0), 3)));
    buffers.arrives(3, 768);
    assert_eq!(reader.drain(false), 1);
    assert_eq!([0, 1, 2, 3].map(|pass| buffers.taken(pass)), [1, 2, 3, 4]);
}

#[test]
fn larger_passes_leave_the_smaller_ones_where_they_are() {
    let (case, trace) = (Case::new(64), Trace::new(Detail::Full));
    let mut reader = Reader::new(case.device, trace.recorder);
    let small = Filled::new(&case, 256);
    small.write(0, 0, &elements(1.0));
    small.arrives(0, 256);
    case.put(0, 1.0, false, Some((Filled::place(0), 0)));
    let large = Filled::new(&case, 1 << 20);
    large.write(1, 0, &elements(2.0));
    large.arrives(1, 256);
    case.put(1, 2.0, false, Some((Filled::place(0), 1)));
    assert_eq!(reader.drain(false), 2);
    let lines = trace.lines();
    assert_eq!(trace.payload(&lines[0]), elements(1.0));
    assert_eq!(trace.payload(&lines[1]), elements(2.0));
    assert!(trace.recorder.status().is_complete());
}

#[test]
fn passes_that_nobody_wants_hold_nothing_up() {
    let case = Case::new(64);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path().join("run.jsonl"), "test");
    settings.detail = Detail::Full;
    settings.tokens = TokenSet::parse("0").unwrap();
    let recorder: &'static Recorder = Box::leak(Box::new(Recorder::create(settings).unwrap()));
    let mut reader = Reader::new(case.device, recorder);
    let buffers = Filled::new(&case, 256);
    // Record n is at position n: only the first is wanted.
    for number in 0..6u16 {
        let pass = u64::from(number);
        buffers.write(pass, 0, &elements(number.into()));
        buffers.arrives(pass, 256);
        case.put(pass, number.into(), false, Some((Filled::place(0), pass)));
    }
    assert_eq!(reader.drain(false), 6);
    assert_eq!(recorder.status().written, 1);
    assert_eq!(
        [0, 1, 2, 3, 4].map(|pass| buffers.taken(pass)),
        [1, 2, 3, 4, 5]
    );
}

#[test]
fn memory_that_is_left_is_shared() {
    // Half of what is left, but no fewer than four and no more than 256.
    assert_eq!(HostBuffers::count_for(1 << 20, 64 << 20), 32);
    assert_eq!(HostBuffers::count_for(1 << 20, 0), 4);
    assert_eq!(HostBuffers::count_for(4096, 512 << 20), 256);
    let machine = Machine::new();
    let device = machine.device(DeviceSettings {
        buffer_bytes: 8 << 20,
        ..DeviceSettings::default()
    });
    // 100 KiB, half as much again, in pages: 152 KiB.
    let counts = [0, 1, 2].map(|lane| device.host_buffers(lane, 100 << 10).unwrap().count);
    assert_eq!(counts, [26, 13, 7]);
}

#[test]
fn without_memory_for_payloads_nobody_waits_for_them() {
    let data = [1.5f32; 1000];
    // Enough for the fewest buffers of two pages; for none.
    for (most, is_whole) in [(4 * 8192, true), (8192, false)] {
        let machine = Machine::new();
        let device = machine.device(DeviceSettings::default());
        let trace = Trace::new(Detail::Full);
        let mut reader = Reader::new(device, trace.recorder);
        fake::with(|fake| fake.most_registered = Some(most));
        for pass in 0..3 {
            let (event, at) = (Event::new("x", 0), tensor(&data, Type::F32));
            enqueue(device, Detail::Full, &event, &at, pass.into(), STREAM).unwrap();
            end_step(device, Detail::Full, STREAM).unwrap();
            assert_eq!(reader.drain(false), 1);
        }
        let status = trace.recorder.status();
        let lost = if is_whole { 0 } else { 3 };
        assert_eq!((status.written, status.payloads_dropped), (3, lost));
        for line in trace.lines().iter().filter(|line| line.contains("\"x\"")) {
            assert_eq!(line.contains("payload"), is_whole, "{line}");
        }
    }
}

/// A lane whose passes outgrow its buffers where there is no memory for larger ones: what fits comes, whenever it is read.
#[test]
fn what_fits_into_the_buffers_that_there_are_comes() {
    let data = [1.5f32; 1000];
    for (mode, in_graph, reads_late) in [
        (Mode::Snapshot, false, false),
        (Mode::Snapshot, false, true),
        (Mode::Side, true, true),
    ] {
        let machine = Machine::new();
        let device = machine.device_in(mode);
        let trace = Trace::new(Detail::Full);
        let mut reader = Reader::new(device, trace.recorder);
        // The fewest buffers of two pages.
        fake::with(|fake| fake.most_registered = Some(4 * 8192));
        let (event, at) = (Event::new("x", 0), tensor(&data, Type::F32));
        for tensors in [1, 5, 1] {
            if in_graph {
                machine.begin_capture();
            }
            for position in 0..tensors {
                enqueue(device, Detail::Full, &event, &at, position.into(), STREAM).unwrap();
            }
            end_step(device, Detail::Full, STREAM).unwrap();
            if in_graph {
                machine.end_capture();
                machine.replay(0);
            }
            if !reads_late {
                reader.drain(false);
            }
        }
        reader.drain(false);
        let lines = trace.lines();
        let records = lines.iter().filter(|line| line.contains("\"x\""));
        let whole: Vec<bool> = records.map(|line| line.contains("payload")).collect();
        let fits = if in_graph {
            // Each graph's lane has buffers of its own, those of the second none.
            [true, false, false, false, false, false, true]
        } else {
            // A page for each tensor.
            [true, true, true, false, false, false, true]
        };
        assert_eq!(whole, fits, "{mode:?}, {reads_late}");
        let lost = fits.iter().filter(|is_whole| !**is_whole).count() as u64;
        assert_eq!(trace.recorder.status().payloads_dropped, lost);
    }
}

#[test]
fn a_view_with_gaps_has_a_payload_without() {
    let data: Vec<f32> = (0..6).map(|i| i as f32).collect();
    let packed: Vec<u8> = [0f32, 3.0, 1.0, 4.0, 2.0, 5.0]
        .iter()
        .flat_map(|x| x.to_ne_bytes())
        .collect();
    for mode in [Mode::Snapshot, Mode::InStream, Mode::Side] {
        for in_graph in [false, true] {
            let machine = Machine::new();
            let device = machine.device_in(mode);
            let trace = Trace::new(Detail::Full);
            let mut reader = Reader::new(device, trace.recorder);
            let transposed = Tensor {
                shape: [3, 2, 0, 0, 0, 0, 0, 0],
                axes: 2,
                strides: Some([1, 3, 0, 0, 0, 0, 0, 0]),
                ..tensor(&data, Type::F32)
            };
            if in_graph {
                machine.begin_capture();
            }
            let event = Event::new("transposed", 0);
            enqueue(device, Detail::Full, &event, &transposed, 5.into(), STREAM).unwrap();
            end_step(device, Detail::Full, STREAM).unwrap();
            if in_graph {
                machine.end_capture();
                machine.replay(0);
            }
            assert_eq!(reader.drain(false), 1, "{mode:?}");
            let line = &trace.lines()[0];
            assert!(
                line.contains("\"token_idx\":5,\"dtype\":\"f32\",\"shape\":\"[3,2]\",\"values\":[0.0,3.0,1.0,4.0,2.0,5.0]"),
                "{mode:?}: {line}"
            );
            assert_eq!(trace.payload(line), packed, "{mode:?}");
            assert!(trace.recorder.status().is_complete() && machine.is_as_before());
        }
    }
}
