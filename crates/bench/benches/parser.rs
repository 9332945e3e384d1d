//! Reading records back, one thread.

use std::hint::black_box;

use bench::{line, tensor};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use orch_log::Detail;
use orch_log::format::{Record, parse_line, parse_line_into};

fn main() {
    divan::main();
}

/// The floor: look at every byte once.
#[divan::bench]
fn floor_find_line_end(bencher: Bencher) {
    let line = line(&tensor(10), Detail::Values);
    bencher
        .counter(BytesCount::of_slice(&line[..]))
        .counter(ItemsCount::new(1u64))
        .bench_local(|| black_box(&line).iter().position(|byte| *byte == b'\n'));
}

#[divan::bench(args = [Detail::Values, Detail::Stats])]
fn parse_into_the_same_record(bencher: Bencher, detail: Detail) {
    let line = line(&tensor(896), detail);
    let mut record = Record::default();
    bencher
        .counter(BytesCount::of_slice(&line[..]))
        .counter(ItemsCount::new(1u64))
        .bench_local(|| parse_line_into(black_box(&line), &mut record).is_ok());
}

#[divan::bench(args = [Detail::Values, Detail::Stats])]
fn parse_into_a_new_record(bencher: Bencher, detail: Detail) {
    let line = line(&tensor(896), detail);
    bencher
        .counter(BytesCount::of_slice(&line[..]))
        .counter(ItemsCount::new(1u64))
        .bench_local(|| parse_line(black_box(&line)));
}

#[divan::bench]
fn serde_json_value(bencher: Bencher) {
    let line = line(&tensor(896), Detail::Values);
    bencher
        .counter(BytesCount::of_slice(&line[..]))
        .counter(ItemsCount::new(1u64))
        .bench_local(|| serde_json::from_slice::<serde_json::Value>(black_box(&line)));
}
