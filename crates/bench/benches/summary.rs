//! Statistics and sketch against a plain read of the same memory, in bytes a second.

use std::hint::black_box;

use bench::{read, tensor};
use divan::Bencher;
use divan::counter::BytesCount;
use orch_log::Stats;

fn main() {
    divan::main();
}

const LENGTHS: [usize; 3] = [896, 4096, 151_936];

/// The same tensor again and again: in a cache, as right after it was computed.
mod in_cache {
    use super::*;

    #[divan::bench(args = LENGTHS)]
    fn floor_read(bencher: Bencher, len: usize) {
        let data = tensor(len);
        bencher
            .counter(BytesCount::of_slice(&data[..]))
            .bench_local(|| read(black_box(&data)));
    }

    #[divan::bench(args = LENGTHS)]
    fn stats_and_sketch_f32(bencher: Bencher, len: usize) {
        let data = tensor(len);
        bencher
            .counter(BytesCount::of_slice(&data[..]))
            .bench_local(|| Stats::of(black_box(&data)));
    }

    #[divan::bench(args = LENGTHS)]
    fn stats_and_sketch_f64(bencher: Bencher, len: usize) {
        let data: Vec<f64> = tensor(len).into_iter().map(f64::from).collect();
        bencher
            .counter(BytesCount::of_slice(&data[..]))
            .bench_local(|| Stats::of(black_box(&data)));
    }

    #[divan::bench(args = LENGTHS)]
    fn stats_and_sketch_f16(bencher: Bencher, len: usize) {
        let data: Vec<half::f16> = tensor(len).into_iter().map(half::f16::from_f32).collect();
        bencher
            .counter(BytesCount::of_slice(&data[..]))
            .bench_local(|| Stats::of(black_box(&data)));
    }

    #[divan::bench(args = LENGTHS)]
    fn stats_and_sketch_bf16(bencher: Bencher, len: usize) {
        let data: Vec<half::bf16> = tensor(len).into_iter().map(half::bf16::from_f32).collect();
        bencher
            .counter(BytesCount::of_slice(&data[..]))
            .bench_local(|| Stats::of(black_box(&data)));
    }
}

/// Another tensor of 151,936 elements each time, out of 1 GiB of them: from memory.
#[divan::bench_group(sample_count = 20, sample_size = 100)]
mod from_memory {
    use super::*;

    const LEN: usize = 151_936;
    const TENSORS: usize = (1 << 30) / (LEN * 4);

    fn each(bencher: Bencher, mut work: impl FnMut(&[f32])) {
        let data = tensor(LEN * TENSORS);
        let mut next = 0;
        bencher
            .counter(BytesCount::of_slice(&data[..LEN]))
            .bench_local(|| {
                next = (next + 1) % TENSORS;
                work(black_box(&data[next * LEN..(next + 1) * LEN]));
            });
    }

    #[divan::bench]
    fn floor_read(bencher: Bencher) {
        each(bencher, |data| {
            black_box(read(data));
        });
    }

    #[divan::bench]
    fn stats_and_sketch_f32(bencher: Bencher) {
        each(bencher, |data| {
            black_box(Stats::of(data));
        });
    }
}
