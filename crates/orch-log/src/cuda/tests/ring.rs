//! The ring in the states that a device may leave it in. The same cases as those of the C++ header's `reader.cu`.

use super::fake::{Machine, put};
use super::records::Trace;
use crate::cuda::device::Device;
use crate::cuda::program::Type;
use crate::cuda::reader::Reader;
use crate::cuda::settings::DeviceSettings;
use crate::cuda::slot::{NO_PAYLOAD, Slot, image_bytes};
use crate::format::Event;
use crate::settings::Detail;

/// A ring that the test fills.
pub(super) struct Case {
    _machine: Machine,
    pub(super) device: &'static Device,
    site: u32,
}

impl Case {
    pub(super) fn new(slots: u32) -> Self {
        let machine = Machine::new();
        let device = machine.device(DeviceSettings {
            slots,
            ..DeviceSettings::default()
        });
        let site = device
            .sites
            .find_or_add(&Event::new("logits", 0).op("MUL_MAT"), Type::F32)
            .unwrap();
        Self {
            _machine: machine,
            device,
            site,
        }
    }

    /// Record `number` of the two elements `value` and `value + 1`, as the device would write it.
    pub(super) fn put(&self, number: u64, value: f32, damaged: bool, payload: Option<(u64, u64)>) {
        let (a, b) = (f64::from(value), f64::from(value) + 1.0);
        let (payload_offset, payload_pass) = payload.unwrap_or((NO_PAYLOAD, 0));
        let slot = Slot {
            sequence: number + 1,
            checksum: u32::from(damaged),
            site: self.site,
            token_idx: number as i64,
            step: 0,
            n_tokens: 0,
            payload_offset,
            payload_pass,
            n: 2,
            nan: 0,
            inf: 0,
            zero: 0,
            min: a,
            max: b,
            sum: a + b,
            squares: a * a + b * b,
            sketch: [0.0; 16],
            axes: 1,
            first: 2,
            shape: [2, 0, 0, 0, 0, 0, 0, 0],
        };
        let first: Vec<u8> = [value, value + 1.0]
            .iter()
            .flat_map(|x| x.to_ne_bytes())
            .collect();
        put(&self.device.ring, &slot, &first, image_bytes(2, 4));
    }
}

#[test]
fn records_come_out_in_order() {
    let (case, trace) = (Case::new(64), Trace::new(Detail::Stats));
    let mut reader = Reader::new(case.device, trace.recorder);
    for number in 0..5u16 {
        case.put(number.into(), number.into(), false, None);
    }
    assert_eq!((reader.drain(false), reader.drain(false)), (5, 0));
    let lines = trace.lines();
    // By hand: elements 3 and 4, mean 3.5, root mean square sqrt(12.5).
    for part in [
        "\"checkpoint\":\"logits\",\"team\":\"test\",\"token_idx\":3,\"dtype\":\"f32\",\"shape\":\"[2]\",\"values\":[3.0,4.0]",
        "\"min\":3.0,\"max\":4.0,\"mean\":3.5,\"rms\":3.5355339059327378}",
        "\"op\":\"MUL_MAT\"",
    ] {
        assert!(lines[3].contains(part), "{part} is not in {}", lines[3]);
    }
}

#[test]
fn half_a_record_is_waited_for() {
    let (case, trace) = (Case::new(64), Trace::new(Detail::Stats));
    let mut reader = Reader::new(case.device, trace.recorder);
    case.put(0, 1.0, true, None);
    case.put(1, 2.0, false, None);
    assert_eq!(reader.drain(false), 0);
    case.put(0, 1.0, false, None);
    assert_eq!(reader.drain(false), 2);
    // One that never becomes whole is given up at the end, counted, and does not hide those after it.
    case.put(2, 3.0, true, None);
    case.put(3, 4.0, false, None);
    assert_eq!((reader.drain(false), reader.drain(true)), (0, 1));
    assert_eq!(trace.recorder.status().dropped, 1);
}

#[test]
fn what_was_overwritten_is_counted() {
    let (case, trace) = (Case::new(64), Trace::new(Detail::Stats));
    let mut reader = Reader::new(case.device, trace.recorder);
    let written = 3 * 64 + 5;
    for number in 0..written {
        case.put(number, number as f32, false, None);
    }
    let mut read = 0;
    loop {
        match reader.drain(false) {
            0 => break,
            some => read += some as u64,
        }
    }
    let status = trace.recorder.status();
    assert!(
        read > 0 && status.dropped + read == written,
        "{read} read, {} dropped",
        status.dropped
    );
    assert!(
        status
            .last_error
            .unwrap()
            .to_string()
            .contains("ORCH_LOG_CUDA_SLOTS")
    );
    let lines = trace.lines();
    let records: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("\"logits\""))
        .collect();
    assert_eq!(records.len() as u64, read);
    assert!(
        records
            .last()
            .unwrap()
            .contains(&format!("\"token_idx\":{}", written - 1))
    );
}
