//! Elements out of payload files: all types, small and large, with one thread and two, and files that are cut short.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use half::{bf16, f16};
use orch_log::format::{Dtype, parse_line};
use parity::Error;
use parity::measure::{Evidence, Measured, measure};
use parity::tensor::{Blocks, Numbers, Region};
use parity::trace::{PayloadNumbers, Trace};
use support::{Folder, noise};

/// A payload of these bytes in a file of its own, behind `offset` other bytes.
fn payload(
    folder: &Folder,
    name: &str,
    dtype: &str,
    (offset, bytes): (usize, &[u8]),
    elements: usize,
) -> PayloadNumbers {
    let file = format!("{name}.tensors");
    folder.write_bytes(&file, &[&vec![0xaa; offset], bytes].concat());
    let line = format!(
        r#"{{"checkpoint":"x","team":"t","token_idx":0,"dtype":"{dtype}","shape":[{elements}],"values":[],"payload":{{"file":"{file}","offset":{offset},"nbytes":{}}}}}"#,
        bytes.len()
    );
    let trace: Trace = folder.write_text(&format!("{name}.jsonl"), &line);
    let record = parse_line(line.as_bytes()).unwrap().record;
    trace.payload(&record).unwrap().unwrap()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn measured(a: &dyn Numbers, b: &dyn Numbers, elements: usize) -> Result<Measured, Error> {
    let evidence = |numbers| Evidence {
        numbers,
        stats: None,
        sketch: None,
        dtype: Dtype::F32,
    };
    let region = Region::whole(&[elements], None);
    measure(&evidence(a), &evidence(b), &region).map(Option::unwrap)
}

/// Elements that only one thread may read.
struct OneThread<'n>(&'n dyn Numbers);

impl Numbers for OneThread<'_> {
    fn available(&self) -> u64 {
        self.0.available()
    }

    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), Error> {
        self.0.read(first, count, out)
    }

    fn blocks(&self) -> Box<dyn Blocks + '_> {
        self.0.blocks()
    }
}

#[test]
fn the_same_bits_mapped_or_read_with_one_thread_or_two() {
    // More than one group of blocks, and not a whole number of anything.
    let n = (2 << 20) + (1 << 18) + 123;
    let reference = noise(1, n);
    let mut candidate: Vec<f32> = reference
        .iter()
        .zip(noise(2, n))
        .map(|(x, e)| x + 1e-4 * e)
        .collect();
    candidate[n - 5] = f32::NAN;
    let folder = Folder::new();
    let a = payload(&folder, "a", "f32", (64, &bytes(&reference)), n);
    // An offset that no `f32` can lie at.
    let b = payload(&folder, "b", "f32", (3, &bytes(&candidate)), n);
    let two = measured(&a, &b, n).unwrap();
    let one = measured(&OneThread(&a), &OneThread(&b), n).unwrap();
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let (in_memory_a, in_memory_b) = (wide(&reference), wide(&candidate));
    let memory = measured(&&in_memory_a[..], &&in_memory_b[..], n).unwrap();
    assert_eq!(format!("{two:?}"), format!("{one:?}"));
    assert_eq!(format!("{two:?}"), format!("{memory:?}"));
    assert_eq!(two.partial.elements, n as u64);
    assert_eq!(two.partial.mismatched_non_finite, 1);
    // Independently, in one sweep.
    let finite = || {
        in_memory_a
            .iter()
            .zip(&in_memory_b)
            .filter(|(_, b)| b.is_finite())
    };
    let sum: f64 = finite().map(|(a, b)| (b - a).powi(2)).sum();
    assert!((two.partial.sum_sq_diff / sum - 1.0).abs() < 1e-12);
    let max = finite().map(|(a, b)| (b - a).abs()).fold(0.0, f64::max);
    assert_eq!(two.partial.max_abs_diff, max);
}

#[test]
fn half_types_are_measured_as_the_numbers_that_they_hold() {
    let n = 700_000;
    let values = noise(3, n);
    let folder = Folder::new();
    let halves: Vec<u8> = values
        .iter()
        .flat_map(|x| f16::from_f32(*x).to_le_bytes())
        .collect();
    let brains: Vec<u8> = values
        .iter()
        .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
        .collect();
    let a = payload(&folder, "a", "f16", (0, &halves), n);
    let b = payload(&folder, "b", "bf16", (64, &brains), n);
    let found = measured(&a, &b, n).unwrap();
    let pairs = values
        .iter()
        .map(|x| (f16::from_f32(*x).to_f64(), bf16::from_f32(*x).to_f64()));
    let (mut sq_diff, mut sq) = (0.0, 0.0);
    for (a, b) in pairs {
        sq_diff += (b - a) * (b - a);
        sq += a * a;
    }
    assert!((found.nmse / (sq_diff / sq) - 1.0).abs() < 1e-12);
}

#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_an_error() {
    let n = 3 << 20;
    let values = noise(4, n);
    let folder = Folder::new();
    let a = payload(&folder, "a", "f32", (0, &bytes(&values)), n);
    let b = payload(&folder, "b", "f32", (0, &bytes(&values)), n);
    let file = std::fs::File::options()
        .write(true)
        .open(folder.path("b.tensors"))
        .unwrap();
    file.set_len(1 << 20).unwrap();
    let error = measured(&a, &b, n).unwrap_err();
    let Error::Read { path, source, .. } = error else {
        panic!("{error}");
    };
    assert!(path.ends_with("b.tensors"));
    assert!(
        source.to_string().contains("cut to 1048576 bytes"),
        "{source}"
    );
}
