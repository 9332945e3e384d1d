//! Comparing two payloads, in bytes of both sides a second, with the floor beside it: a plain read of the same files.
//!
//! One tensor of 256 MiB a side, the candidate a little off. `floor_read` reads what stays mapped; `floor_map_and_read`
//! maps and unmaps windows as the comparison does.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use bench::{Folder, read, tensor};
use divan::Bencher;
use divan::counter::BytesCount;
use memmap2::{Advice, Mmap, MmapOptions};
use orch_log::format::{Dtype, parse_line};
use parity::measure::{Evidence, Kernel, Partial, Ulp, measure};
use parity::tensor::{Block, Blocks, Numbers, Region};
use parity::trace::{PayloadNumbers, Trace};

static FOLDER: OnceLock<Folder> = OnceLock::new();

const ELEMENTS: usize = 64 << 20;
const BYTES: usize = ELEMENTS * 4;
const SIDES: [&str; 2] = ["reference", "candidate"];
const WINDOW: usize = 4 << 20;

fn main() {
    let folder = FOLDER.get_or_init(Folder::new);
    let reference = tensor(1 << 20);
    let noise = tensor((1 << 20) + 7);
    let candidate: Vec<f32> = reference
        .iter()
        .zip(&noise[7..])
        .map(|(x, noise)| x * (1.0 + 1e-6 * noise))
        .collect();
    for (side, data) in SIDES.into_iter().zip([&reference, &candidate]) {
        let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut file = File::create(path(side, "tensors")).expect("a payload file");
        for _ in 0..BYTES / bytes.len() {
            file.write_all(&bytes).expect("room for the payload");
        }
        std::fs::write(path(side, "jsonl"), line(side)).expect("a trace file");
    }
    divan::main();
    let _ = std::fs::remove_dir_all(folder.path("."));
}

fn path(side: &str, extension: &str) -> PathBuf {
    let folder = FOLDER.get_or_init(Folder::new);
    folder.path(&format!("{side}.{extension}"))
}

fn line(side: &str) -> String {
    format!(
        r#"{{"checkpoint":"x","team":"bench","token_idx":0,"dtype":"f32","shape":[{ELEMENTS}],"values":[],"payload":{{"file":"{side}.tensors","offset":0,"nbytes":{BYTES}}}}}"#
    )
}

fn payload(side: &str) -> PayloadNumbers {
    let trace = Trace::open(path(side, "jsonl")).expect("the trace opens");
    let record = parse_line(line(side).as_bytes()).expect("a record").record;
    let payload = trace.payload(&record).expect("a payload is named");
    payload.expect("the payload is whole")
}

/// Numbers that only one thread may read.
struct OneThread(PayloadNumbers);

impl Numbers for OneThread {
    fn available(&self) -> u64 {
        self.0.available()
    }

    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), parity::Error> {
        self.0.read(first, count, out)
    }

    fn blocks(&self) -> Box<dyn Blocks + '_> {
        self.0.blocks()
    }
}

fn compare(a: &dyn Numbers, b: &dyn Numbers) -> f64 {
    let evidence = |numbers| Evidence {
        numbers,
        stats: None,
        sketch: None,
        dtype: Dtype::F32,
    };
    let region = Region::whole(&[ELEMENTS], None);
    let measured = measure(&evidence(a), &evidence(b), &region).expect("readable");
    measured.expect("elements in common").nmse
}

/// All of it mapped, for as long as the bench runs.
fn map(side: &str) -> Mmap {
    let file = File::open(path(side, "tensors")).expect("the payload opens");
    // SAFETY: nothing writes to the file after `main` made it.
    let mapped = unsafe { Mmap::map(&file) }.expect("the payload maps");
    let _ = mapped.advise(Advice::PopulateRead);
    mapped
}

fn words(bytes: &[u8]) -> &[f32] {
    // SAFETY: every bit pattern is an `f32`.
    unsafe { bytes.align_to::<f32>().1 }
}

/// Reads windows of both sides in turn.
fn read_windows(a: &[u8], b: &[u8]) -> u32 {
    let windows = a.chunks(WINDOW).zip(b.chunks(WINDOW));
    windows.fold(0, |sum, (a, b)| sum ^ read(words(a)) ^ read(words(b)))
}

fn map_and_read_windows(files: &[File; 2], range: std::ops::Range<usize>) -> u32 {
    let mut sum = 0;
    for start in range.step_by(WINDOW) {
        for file in files {
            // SAFETY: as in `map`.
            let window = unsafe {
                MmapOptions::new()
                    .offset(start as u64)
                    .len(WINDOW)
                    .map(file)
            };
            let window = window.expect("the window maps");
            let _ = window.advise(Advice::PopulateRead);
            sum ^= read(words(&window));
        }
    }
    sum
}

fn on_two_threads(work: impl Fn(std::ops::Range<usize>) -> u32 + Sync) -> u32 {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| work(BYTES / 2..BYTES));
        work(0..BYTES / 2) ^ other.join().expect("a read does not panic")
    })
}

#[divan::bench_group(sample_count = 12, sample_size = 1)]
mod threads_1 {
    use super::*;

    #[divan::bench]
    fn floor_read(bencher: Bencher) {
        let (a, b) = (map(SIDES[0]), map(SIDES[1]));
        bencher
            .counter(BytesCount::new(2 * BYTES))
            .bench_local(|| read_windows(black_box(&a), black_box(&b)));
    }

    #[divan::bench]
    fn floor_map_and_read(bencher: Bencher) {
        let files = SIDES.map(|side| File::open(path(side, "tensors")).expect("a payload"));
        bencher
            .counter(BytesCount::new(2 * BYTES))
            .bench_local(|| map_and_read_windows(&files, 0..BYTES));
    }

    #[divan::bench]
    fn compare_payloads(bencher: Bencher) {
        let (a, b) = (OneThread(payload(SIDES[0])), OneThread(payload(SIDES[1])));
        bencher
            .counter(BytesCount::new(2 * BYTES))
            .bench_local(|| compare(&a, &b));
    }
}

#[divan::bench_group(sample_count = 12, sample_size = 1)]
mod threads_2 {
    use super::*;

    #[divan::bench]
    fn floor_read(bencher: Bencher) {
        let (a, b) = (map(SIDES[0]), map(SIDES[1]));
        bencher
            .counter(BytesCount::new(2 * BYTES))
            .bench_local(|| on_two_threads(|range| read_windows(&a[range.clone()], &b[range])));
    }

    #[divan::bench]
    fn floor_map_and_read(bencher: Bencher) {
        let files = SIDES.map(|side| File::open(path(side, "tensors")).expect("a payload"));
        bencher
            .counter(BytesCount::new(2 * BYTES))
            .bench_local(|| on_two_threads(|range| map_and_read_windows(&files, range)));
    }

    #[divan::bench]
    fn compare_payloads(bencher: Bencher) {
        let (a, b) = (payload(SIDES[0]), payload(SIDES[1]));
        bencher
            .counter(BytesCount::new(2 * BYTES))
            .bench_local(|| compare(&a, &b));
    }
}

/// One block of 4096 elements out of a cache: what the instructions cost by themselves.
#[divan::bench_group(sample_count = 50, sample_size = 200)]
mod block_in_cache {
    use super::*;

    #[divan::bench(args = Kernel::all().into_iter().map(Kernel::name))]
    fn kernel(bencher: Bencher, name: &str) {
        let kernel = Kernel::all()
            .into_iter()
            .find(|kernel| kernel.name() == name);
        let kernel = kernel.expect("one of them");
        let a = tensor(4096);
        let b: Vec<f32> = a
            .iter()
            .zip(&tensor(4103)[7..])
            .map(|(x, e)| x + 1e-6 * e)
            .collect();
        bencher
            .counter(BytesCount::new(8 * a.len()))
            .bench_local(|| {
                let (a, b) = (Block::F32(black_box(&a)), Block::F32(black_box(&b)));
                Partial::of_block(a, b, 0, Some(Ulp::F32), kernel)
            });
    }
}
