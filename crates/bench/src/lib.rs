//! What the benches share: tensors, traces that do not outgrow the disk, and the floors to compare with.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use orch_log::format::Event;
use orch_log::{Detail, Recorder, Settings};

/// A tensor with ordinary numbers, the same each time.
pub fn tensor(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(draw).take(len).collect()
}

/// A folder on the disk that the build uses, removed when dropped.
pub struct Folder(tempfile::TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// Beside the bench program, so that it is a real file system and not memory.
    ///
    /// # Panics
    ///
    /// The folder cannot be made.
    pub fn new() -> Self {
        let program = std::env::current_exe().expect("a program has a path");
        let parent = program.parent().unwrap_or(Path::new("."));
        Self(tempfile::tempdir_in(parent).expect("a folder beside the program"))
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A recorder in it.
    ///
    /// # Panics
    ///
    /// The trace cannot be opened.
    pub fn recorder(&self, detail: Detail, buffer: Option<usize>) -> Recorder {
        let mut settings = Settings::new(self.path("run.jsonl"), "bench");
        (settings.detail, settings.buffer) = (detail, buffer);
        Recorder::create(settings).expect("the trace opens")
    }

    /// A file opened as the logger opens its trace.
    ///
    /// # Panics
    ///
    /// The file cannot be opened.
    pub fn file(&self) -> File {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("floor"))
            .expect("the file opens")
    }
}

/// The event that all benches log.
pub fn event(token_idx: i64) -> Event<'static> {
    Event::new("layer_0_output", token_idx).n_tokens(1).step(3)
}

/// The bytes that the logger writes for `data`: what the floor writes too.
///
/// # Panics
///
/// The trace cannot be written or read.
pub fn line(data: &[f32], detail: Detail) -> Vec<u8> {
    let folder = Folder::new();
    let recorder = folder.recorder(detail, None);
    let _ = recorder.log(&event(7), data);
    std::fs::read(recorder.path()).expect("the trace is there")
}

/// One `write(2)`.
#[inline]
pub fn write(file: &File, bytes: &[u8]) -> usize {
    let mut file = file;
    file.write(bytes).unwrap_or(0)
}

/// Reads every element once, doing as little with it as a processor can: four sums of 64-bit words.
#[inline(never)]
pub fn read(data: &[f32]) -> u32 {
    let mut sums = [0u32; 64];
    for chunk in data.as_chunks::<64>().0 {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(value.to_bits());
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}
