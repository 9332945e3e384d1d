//! Records of tensors that were logged outside of graphs.

use std::path::PathBuf;

use super::fake::{self, Machine, STREAM};
use crate::cuda::argument::Position;
use crate::cuda::device::Device;
use crate::cuda::enqueue::enqueue;
use crate::cuda::error::Error;
use crate::cuda::program::Type;
use crate::cuda::reader::Reader;
use crate::cuda::settings::{DeviceSettings, Mode};
use crate::cuda::step::end_step;
use crate::cuda::tensor::{Tensor, axes_of, element_type, strides_of};
use crate::format::{Dtype, Event, Shape};
use crate::settings::{Detail, Settings};
use crate::tensor::{Element, TensorView};
use crate::{F8E4m3, F8E5m2, Recorder};

/// A trace in a folder of its own.
pub(super) struct Trace {
    folder: tempfile::TempDir,
    pub(super) recorder: &'static Recorder,
}

impl Trace {
    pub(super) fn new(detail: Detail) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path().join("run.jsonl"), "test");
        settings.detail = detail;
        let recorder = Box::leak(Box::new(Recorder::create(settings).unwrap()));
        Self { folder, recorder }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("run.jsonl")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn payload(&self, line: &str) -> Vec<u8> {
        let number = |key: &str| -> usize {
            let text = line.split(key).nth(1).unwrap();
            text.split(',').next().unwrap().parse().unwrap()
        };
        let name = line
            .split("\"file\":\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let file: PathBuf = self.folder.path().join(name);
        let (offset, nbytes) = (number("\"offset\":"), number("\"nbytes\":"));
        std::fs::read(file).unwrap()[offset..offset + nbytes].to_vec()
    }
}

/// A tensor without gaps, in the fake's memory, which is the host's.
pub(super) fn tensor<T: Element>(data: &[T], of: Type) -> Tensor {
    let (shape, axes) = axes_of(Shape::FromView, data.len() as u64);
    Tensor {
        address: data.as_ptr().expose_provenance() as u64,
        is_known: false,
        of,
        count: data.len() as u64,
        shape,
        axes,
        strides: None,
    }
}

/// Logs `data` from the device and from the host; both lines must be the same, as far as sums in another order allow.
fn same_as_host<T: Element>(
    device: &'static Device,
    reader: &mut Reader,
    trace: &Trace,
    data: &[T],
    of: Type,
) {
    let event = Event::new("x", 7)
        .n_tokens(1)
        .step(0)
        .op("MUL_MAT")
        .src(&["y"]);
    enqueue(
        device,
        Detail::Stats,
        &event,
        &tensor(data, of),
        7.into(),
        STREAM,
    )
    .unwrap();
    assert_eq!(reader.drain(false), 1);
    let _ = trace.recorder.log(&event, TensorView::new(data));
    let lines = trace.lines();
    let [by_device, by_host] = &lines[lines.len() - 2..] else {
        unreachable!()
    };
    let parts = |line: &str| {
        let (before, rest) = line.split_once("\"mean\":").unwrap();
        let (mean, rest) = rest.split_once(",\"rms\":").unwrap();
        let (rms, rest) = rest.split_once('}').unwrap();
        let number = |text: &str| text.trim_matches('"').parse::<f64>().unwrap();
        (
            before.to_owned(),
            number(mean),
            number(rms),
            rest.to_owned(),
        )
    };
    let ((a, a_mean, a_rms, a_rest), (b, b_mean, b_rms, b_rest)) =
        (parts(by_device), parts(by_host));
    assert_eq!((a, a_rest), (b, b_rest));
    let close = |x: f64, y: f64| (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-12 * y.abs();
    assert!(
        close(a_mean, b_mean) && close(a_rms, b_rms),
        "{by_device}\n{by_host}"
    );
}

#[test]
fn every_type_and_size_as_the_host_logs_it() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings::default());
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let bits = |index: usize| (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    macro_rules! each {
        ($($of:ident: $make:expr;)*) => {$(
            for count in [0usize, 1, 9, 10, 11, 256, 5000] {
                let make = $make;
                let data: Vec<_> = (0..count).map(|index| make(bits(index))).collect();
                same_as_host(device, &mut reader, &trace, &data, Type::$of);
            }
        )*};
    }
    each! {
        F64: |bits: u64| (bits % 2001) as f64 / 7.0 - 100.0;
        F32: |bits: u64| if bits.is_multiple_of(50) { f32::NAN } else { (bits % 2001) as f32 / 7.0 - 100.0 };
        F16: |bits: u64| half::f16::from_bits(bits as u16);
        Bf16: |bits: u64| half::bf16::from_f32((bits % 2001) as f32 - 1000.0);
        F8E4m3: |bits: u64| F8E4m3(bits as u8);
        F8E5m2: |bits: u64| F8E5m2(bits as u8);
        I64: |bits: u64| bits as i64 - (1 << 40);
        I32: |bits: u64| bits as i32;
        I16: |bits: u64| bits as i16;
        I8: |bits: u64| bits as i8;
        U64: |bits: u64| bits;
        U32: |bits: u64| bits as u32;
        U16: |bits: u64| bits as u16;
        U8: |bits: u64| bits as u8;
        Bool: |bits: u64| bits.is_multiple_of(3);
    }
    assert!(trace.recorder.status().is_complete() && machine.is_as_before());
}

#[test]
fn strides_odd_addresses_and_positions_on_the_device() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings::default());
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let data: Vec<f32> = (0..6).map(|i| i as f32).collect();
    // The transpose of a 2×3 matrix.
    let transposed = Tensor {
        shape: [3, 2, 0, 0, 0, 0, 0, 0],
        axes: 2,
        strides: Some([1, 3, 0, 0, 0, 0, 0, 0]),
        ..tensor(&data, Type::F32)
    };
    enqueue(
        device,
        Detail::Stats,
        &Event::new("transposed", 0),
        &transposed,
        5.into(),
        STREAM,
    )
    .unwrap();
    // 1.5 and 2.5 one byte off.
    let bytes: Vec<u8> = [&[0u8][..], &1.5f32.to_ne_bytes(), &2.5f32.to_ne_bytes()].concat();
    let shifted = Tensor {
        address: bytes.as_ptr().expose_provenance() as u64 + 1,
        count: 2,
        ..tensor(&data[..2], Type::F32)
    };
    let counter = [40i32];
    let position = Position::counter_i32(counter.as_ptr().expose_provenance() as u64, 2);
    enqueue(
        device,
        Detail::Stats,
        &Event::new("shifted", 0),
        &shifted,
        position,
        STREAM,
    )
    .unwrap();
    assert_eq!(reader.drain(false), 2);
    let lines = trace.lines();
    assert!(
        lines[0].contains("\"token_idx\":5,\"dtype\":\"f32\",\"shape\":\"[3,2]\",\"values\":[0.0,3.0,1.0,4.0,2.0,5.0]"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1]
            .contains("\"token_idx\":42,\"dtype\":\"f32\",\"shape\":\"[2]\",\"values\":[1.5,2.5]"),
        "{}",
        lines[1]
    );
}

#[test]
fn full_detail_brings_every_element_and_steps_are_counted() {
    for mode in [Mode::Snapshot, Mode::InStream, Mode::Side] {
        let machine = Machine::new();
        let device = machine.device_in(mode);
        let trace = Trace::new(Detail::Full);
        let mut reader = Reader::new(device, trace.recorder);
        for step in 0..12u32 {
            // Longer each time, so that buffers have to grow.
            let data: Vec<f32> = (0..3000 * (step + 1)).map(|i| (i + step) as f32).collect();
            enqueue(
                device,
                Detail::Full,
                &Event::new("x", 0),
                &tensor(&data, Type::F32),
                step.into(),
                STREAM,
            )
            .unwrap();
            end_step(device, Detail::Full, STREAM).unwrap();
            assert_eq!(reader.drain(false), 1, "{mode:?}");
            let lines = trace.lines();
            let line = lines.last().unwrap();
            assert!(
                line.contains(&format!("\"token_idx\":{step},"))
                    && line.contains(&format!("\"step\":{step},")),
                "{line}"
            );
            let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_ne_bytes()).collect();
            assert!(
                trace.payload(line) == bytes,
                "{mode:?}, step {step}: another tensor's elements"
            );
        }
        assert!(trace.recorder.status().is_complete() && machine.is_as_before());
    }
}

#[test]
fn a_payload_without_room_is_counted_and_its_record_kept() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings {
        snapshot_bytes: 4096,
        ..DeviceSettings::default()
    });
    let trace = Trace::new(Detail::Full);
    let mut reader = Reader::new(device, trace.recorder);
    let data = vec![1.0f32; 2000];
    enqueue(
        device,
        Detail::Full,
        &Event::new("x", 0),
        &tensor(&data, Type::F32),
        0.into(),
        STREAM,
    )
    .unwrap();
    end_step(device, Detail::Full, STREAM).unwrap();
    assert_eq!(reader.drain(false), 1);
    assert!(!trace.lines()[0].contains("payload"));
    let status = trace.recorder.status();
    assert_eq!((status.dropped, status.payloads_dropped), (0, 1));
}

#[test]
fn no_memory_is_an_error_and_leaves_the_engine_alone() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings::default());
    fake::with(|fake| fake.memory_ends_after = Some(0));
    let data = [1.0f32];
    let outcome = enqueue(
        device,
        Detail::Stats,
        &Event::new("x", 0),
        &tensor(&data, Type::F32),
        0.into(),
        STREAM,
    );
    assert!(matches!(outcome, Err(Error::Driver(_))), "{outcome:?}");
    assert!(machine.is_as_before());
    assert_eq!(fake::with(|fake| fake.launches), 0);
}

#[test]
fn what_dtype_and_shape_mean() {
    assert_eq!(element_type(None, Dtype::Bf16), Some(Type::Bf16));
    assert_eq!(
        element_type(Some(Dtype::U16), Dtype::Bf16),
        Some(Type::Bf16)
    );
    assert_eq!(
        element_type(Some(Dtype::U8), Dtype::F8E4m3),
        Some(Type::F8E4m3)
    );
    let q4_1 = Dtype::ggml("q4_1").unwrap();
    assert_eq!(element_type(Some(Dtype::F32), q4_1), Some(Type::F32));
    assert_eq!(element_type(None, q4_1), None);
    assert_eq!(
        axes_of(Shape::Text("[2, 3]"), 6),
        ([2, 3, 0, 0, 0, 0, 0, 0], 2)
    );
    assert_eq!(
        axes_of(Shape::Dims(&[2, 3]), 6),
        ([2, 3, 0, 0, 0, 0, 0, 0], 2)
    );
    // As the caller says it, though it does not fit.
    assert_eq!(
        axes_of(Shape::Text("[2,4]"), 6),
        ([2, 4, 0, 0, 0, 0, 0, 0], 2)
    );
    assert_eq!(axes_of(Shape::Dims(&[7]), 6), ([7, 0, 0, 0, 0, 0, 0, 0], 1));
    for unclear in [Shape::Text("2,3"), Shape::Dims(&[0, 6]), Shape::FromView] {
        assert_eq!(
            axes_of(unclear, 6),
            ([6, 0, 0, 0, 0, 0, 0, 0], 1),
            "{unclear:?}"
        );
    }
    let dims = [2, 3];
    assert_eq!(strides_of(None, Shape::Text("?"), 6), Some(None));
    assert_eq!(strides_of(Some(&[3, 1]), Shape::Dims(&dims), 6), Some(None));
    let transposed = [1, 2, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        strides_of(Some(&[1, 2]), Shape::Dims(&dims), 6),
        Some(Some(transposed))
    );
    // What does not fit would be read where nothing is.
    assert_eq!(strides_of(Some(&[1, 2]), Shape::Dims(&dims), 7), None);
    assert_eq!(strides_of(Some(&[1]), Shape::Dims(&dims), 6), None);
    assert_eq!(axes_of(Shape::Text("[]"), 1), ([0; 8], 0));
}

/// At any address, whatever the caller says of the shape.
#[test]
fn shapes_that_do_not_fit_are_as_on_the_host() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings::default());
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let data: Vec<i32> = (0..300).collect();
    let shifted: Vec<u8> = std::iter::once(0)
        .chain(data.iter().flat_map(|x| x.to_ne_bytes()))
        .collect();
    for dims in [&[7][..], &[3, 11], &[], &[300, 2]] {
        for address in [
            data.as_ptr().expose_provenance(),
            shifted.as_ptr().expose_provenance() + 1,
        ] {
            let event = Event::new("x", 7).step(0).shape(dims);
            let (shape, axes) = axes_of(Shape::Dims(dims), 300);
            let at = Tensor {
                address: address as u64,
                shape,
                axes,
                ..tensor(&data, Type::I32)
            };
            enqueue(device, Detail::Stats, &event, &at, 7.into(), STREAM).unwrap();
            assert_eq!(reader.drain(false), 1);
            let _ = trace.recorder.log(&event, TensorView::new(&data));
            let lines = trace.lines();
            assert_eq!(lines[lines.len() - 2], lines[lines.len() - 1]);
        }
    }
}

#[test]
fn host_memory_is_refused() {
    let machine = Machine::new();
    let device = machine.device(DeviceSettings::default());
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let (data, counter) = ([1.0f32; 4], [3i32]);
    let at = tensor(&data, Type::F32);
    let position = Position::counter_i32(counter.as_ptr().expose_provenance() as u64, 0);
    let event = Event::new("x", 0);
    let mut log = |at: &Tensor, position| {
        let outcome = enqueue(device, Detail::Stats, &event, at, position, STREAM);
        (outcome, reader.drain(false))
    };
    for address in [at.address, position.counter] {
        fake::with(|fake| fake.host_memory = address);
        assert_eq!(log(&at, position), (Err(Error::HostMemory), 0));
    }
    // Nobody asks of memory that is the device's by its type.
    let known = Tensor {
        is_known: true,
        ..at
    };
    fake::with(|fake| fake.host_memory = at.address);
    assert_eq!(log(&known, position), (Ok(()), 1));
    assert!(machine.is_as_before());
}
