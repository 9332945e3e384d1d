//! What a logged record costs, with the floor beside it, a bare `write(2)` of the same bytes, and what people use
//! otherwise. Names are area/case/size; a case at 2 and 8 threads shares one trace between them.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::sync::Mutex;

use bench::{Folder, event, line, tensor, write};
use divan::Bencher;
use orch_log::{Detail, orch_log};

fn main() {
    divan::main();
}

const THREADS: [usize; 3] = [1, 2, 8];
const BUFFER: Option<usize> = Some(64 << 10);

/// Nothing is logged: `ORCH_LOG_FILE` is not set. Without the feature `orch_logging` not even that is asked.
#[divan::bench_group(sample_count = 100, sample_size = 100_000)]
mod unset {
    use super::*;

    #[divan::bench]
    fn nothing(bencher: Bencher) {
        let data = tensor(896);
        bencher.bench_local(|| black_box(&data).len());
    }

    #[divan::bench]
    fn orch_log_macro(bencher: Bencher) {
        assert!(
            std::env::var_os("ORCH_LOG_FILE").is_none(),
            "ORCH_LOG_FILE must not be set here"
        );
        let data = tensor(896);
        bencher.bench_local(|| {
            orch_log!("layer_0_output", black_box(&data), 7);
            data.len()
        });
    }
}

/// Ten values, no statistics: about 200 bytes.
#[divan::bench_group(threads = THREADS, sample_count = 50, sample_size = 2000)]
mod values_10 {
    use super::*;

    #[divan::bench]
    fn floor_write(bencher: Bencher) {
        floor(bencher, 10, Detail::Values);
    }

    #[divan::bench]
    fn orch_log(bencher: Bencher) {
        log(bencher, 10, Detail::Values, None);
    }

    #[divan::bench]
    fn orch_log_buffered(bencher: Bencher) {
        log(bencher, 10, Detail::Values, BUFFER);
    }

    /// The usual way: a struct, `serde_json`, a buffered file behind a mutex. A crash loses the buffer.
    #[divan::bench]
    fn serde_json_mutex_bufwriter(bencher: Bencher) {
        let (folder, data) = (Folder::new(), tensor(10));
        let file = Mutex::new(BufWriter::with_capacity(64 << 10, folder.file()));
        bencher.bench(|| serde(&file, &data, false));
    }

    /// The same, but as safe against a crash as a plain record: flushed after each.
    #[divan::bench]
    fn serde_json_mutex_flushed(bencher: Bencher) {
        let (folder, data) = (Folder::new(), tensor(10));
        let file = Mutex::new(BufWriter::with_capacity(64 << 10, folder.file()));
        bencher.bench(|| serde(&file, &data, true));
    }

    /// `tracing` with its JSON layer, each event one write to the file. It has no arrays: the values go as text.
    #[divan::bench]
    fn tracing_json(bencher: Bencher) {
        let (folder, data) = (Folder::new(), tensor(10));
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_writer(Mutex::new(folder.file()))
            .finish();
        let dispatch = tracing::Dispatch::new(subscriber);
        bencher.bench(|| {
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::info!(
                    checkpoint = "layer_0_output",
                    team = "bench",
                    token_idx = 7,
                    dtype = "f32",
                    shape = "[10]",
                    values = ?black_box(&data),
                    n_tokens = 1,
                    step = 3
                );
            });
        });
    }
}

/// Ten values, statistics and sketch of all elements: about 700 bytes.
#[divan::bench_group(threads = THREADS, sample_count = 50, sample_size = 1000)]
mod stats {
    use super::*;

    #[divan::bench(args = [10, 896, 4096])]
    fn floor_write(bencher: Bencher, len: usize) {
        floor(bencher, len, Detail::Stats);
    }

    #[divan::bench(args = [10, 896, 4096])]
    fn orch_log(bencher: Bencher, len: usize) {
        log(bencher, len, Detail::Stats, None);
    }

    #[divan::bench(args = [10, 896, 4096])]
    fn orch_log_buffered(bencher: Bencher, len: usize) {
        log(bencher, len, Detail::Stats, BUFFER);
    }
}

fn floor(bencher: Bencher, len: usize, detail: Detail) {
    let (folder, bytes) = (Folder::new(), line(&tensor(len), detail));
    let file = folder.file();
    bencher.bench(|| write(&file, black_box(&bytes)));
}

fn log(bencher: Bencher, len: usize, detail: Detail, buffer: Option<usize>) {
    let (folder, data) = (Folder::new(), tensor(len));
    let recorder = folder.recorder(detail, buffer);
    bencher.bench(|| recorder.log(&event(7), black_box(&data)));
}

#[derive(serde::Serialize)]
struct Record<'a> {
    checkpoint: &'a str,
    team: &'a str,
    token_idx: i64,
    dtype: &'a str,
    shape: &'a str,
    values: &'a [f32],
    n_tokens: usize,
    step: u64,
}

fn serde(file: &Mutex<BufWriter<File>>, data: &[f32], flush: bool) {
    let record = Record {
        checkpoint: "layer_0_output",
        team: "bench",
        token_idx: 7,
        dtype: "f32",
        shape: "[10]",
        values: black_box(data),
        n_tokens: 1,
        step: 3,
    };
    let mut line = serde_json::to_vec(&record).unwrap_or_default();
    line.push(b'\n');
    if let Ok(mut file) = file.lock() {
        let _ = file.write_all(&line);
        if flush {
            let _ = file.flush();
        }
    }
}
