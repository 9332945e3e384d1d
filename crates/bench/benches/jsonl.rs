//! Comparing two traces without payloads, in records of both a second, with the floor beside it: a plain read of the same
//! files.
//!
//! 20 layers of 10 checkpoints at 200 positions, 576 elements each, the candidate a little off: first values alone, or also
//! statistics and sketches.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use bench::{Folder, tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use orch_log::format::Event;
use orch_log::{Detail, Recorder, Settings};
use parity::trace::Trace;
use parity::{Options, compare};

static FOLDER: OnceLock<Folder> = OnceLock::new();

const POSITIONS: i64 = 200;
const LAYERS: usize = 20;
const STAGES: [&str; 10] = [
    "attn_norm",
    "q",
    "k",
    "v",
    "attn_out",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_out",
    "output",
];
const RECORDS: usize = POSITIONS as usize * LAYERS * STAGES.len();
const ELEMENTS: usize = 576;
const DETAILS: [(&str, Detail); 2] = [("values", Detail::Values), ("stats", Detail::Stats)];
const SIDES: [&str; 2] = ["reference", "candidate"];

fn main() {
    let folder = FOLDER.get_or_init(Folder::new);
    for (name, detail) in DETAILS {
        for (side, error) in SIDES.into_iter().zip([0.0, 1e-6]) {
            write(path(name, side), detail, error);
        }
    }
    divan::main();
    let _ = std::fs::remove_dir_all(folder.path("."));
}

fn path(detail: &str, side: &str) -> PathBuf {
    let folder = FOLDER.get_or_init(Folder::new);
    folder.path(&format!("{detail}-{side}.jsonl"))
}

fn write(path: PathBuf, detail: Detail, error: f32) {
    let mut settings = Settings::new(path, "bench");
    settings.detail = detail;
    let recorder = Recorder::create(settings).expect("the trace opens");
    let all = tensor(RECORDS + 2 * ELEMENTS);
    let mut data = vec![0.0; ELEMENTS];
    let tokens: Vec<i32> = (0..POSITIONS as i32).collect();
    let count = tokens.len();
    let _ = recorder.log(&Event::new("tokens", 0).n_tokens(count), tokens.as_slice());
    for record in 0..RECORDS {
        let (layer, stage) = (record / STAGES.len() % LAYERS, record % STAGES.len());
        let position = record / STAGES.len() / LAYERS;
        let noise = &all[record + ELEMENTS..];
        for (x, (value, noise)) in data.iter_mut().zip(all[record..].iter().zip(noise)) {
            *x = value * (1.0 + error * noise);
        }
        let name = format!("layer_{layer}_{}", STAGES[stage]);
        let event = Event::new(&name, position as i64).n_tokens(1);
        let _ = recorder.log(&event, data.as_slice());
    }
    recorder.flush().expect("room for the trace");
}

#[divan::bench(args = DETAILS.map(|(name, _)| name), sample_count = 12, sample_size = 1)]
fn floor_read(bencher: Bencher, detail: &str) {
    let mut buffer = vec![0; 256 << 10];
    bencher
        .counter(ItemsCount::new(2 * RECORDS))
        .bench_local(|| {
            let mut bytes = 0;
            for side in SIDES {
                let mut file = File::open(path(detail, side)).expect("the trace opens");
                while let Ok(read @ 1..) = file.read(&mut buffer) {
                    bytes += black_box(&buffer[..read]).len();
                }
            }
            bytes
        });
}

#[divan::bench(args = DETAILS.map(|(name, _)| name), sample_count = 12, sample_size = 1)]
fn compare_traces(bencher: Bencher, detail: &str) {
    let [reference, candidate] =
        SIDES.map(|side| Trace::open(path(detail, side)).expect("the trace opens"));
    bencher
        .counter(ItemsCount::new(2 * RECORDS))
        .bench_local(|| {
            let report = compare(&reference, &candidate, &Options::default(), &mut |_| {});
            report.expect("readable").exit_code
        });
}
