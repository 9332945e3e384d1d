//! Writing a trace.

mod buffer;
#[cfg(feature = "cuda")]
mod device;
mod digest;
mod fork;
mod payload;
mod run;
mod scratch;
mod sink;
mod status;
mod thread;

#[cfg(feature = "cuda")]
pub(crate) use device::{Block, DeviceBlock};
pub use digest::Digest;
pub(crate) use fork::process_id;
#[cfg(feature = "cuda")]
pub(crate) use sink::Loss;
pub use status::{Logged, Status};

use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::format::writer::{Extras, push_record};
use crate::format::{Event, Run};
use crate::settings::{Detail, Settings, Values};
use crate::summary::summarize;
use crate::tensor::{Element, TensorView};
use buffer::Buffers;
use payload::Payloads;
use sink::Sink;

/// Writes one trace.
///
/// Shared by reference between threads; no call waits for another thread. It never prints and never
/// panics; what could not be written is counted in [`Recorder::status`].
///
/// # Example
///
/// ```
/// use orch_log::{Logged, Recorder, Settings, format::Event};
/// let folder = std::env::temp_dir().join(format!("orch-log-doc-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// let recorder = Recorder::create(Settings::new(folder.join("run.jsonl"), "my-engine"))?;
/// let logged = recorder.log(&Event::new("logits", 7), &[0.5f32, -1.5]);
/// assert_eq!(logged, Logged::Written);
/// assert!(recorder.status().is_complete());
/// # std::fs::remove_dir_all(&folder)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Recorder {
    settings: Settings,
    sink: Sink,
    payloads: Payloads,
    buffers: Option<Buffers>,
    started: SystemTime,
}

impl Recorder {
    /// Starts a new trace; an existing one of that name is emptied.
    ///
    /// # Errors
    ///
    /// The trace cannot be opened for writing.
    pub fn create(settings: Settings) -> io::Result<Self> {
        Self::open(settings, true)
    }

    /// Goes on with a trace, or starts one: for several processes that log into one file.
    ///
    /// # Errors
    ///
    /// The trace cannot be opened for writing.
    pub fn append(settings: Settings) -> io::Result<Self> {
        Self::open(settings, false)
    }

    fn open(settings: Settings, truncate: bool) -> io::Result<Self> {
        let sink = Sink::open(&settings.path, &settings.team, truncate, settings.max_bytes)?;
        let recorder = Self {
            sink,
            payloads: Payloads::new(&settings.path),
            buffers: settings.buffer.map(Buffers::new),
            settings,
            started: SystemTime::now(),
        };
        run::write_at_start(&recorder.settings, recorder.started, truncate);
        Ok(recorder)
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The trace's path.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// True when a record of this name, first position and number of positions would be written.
    /// Costs no system call: ask before an expensive copy.
    #[inline]
    pub fn wants(&self, checkpoint: &str, token_idx: i64, n_tokens: usize) -> bool {
        self.settings.filter.passes(checkpoint)
            && (self.settings.tokens.overlaps(token_idx, n_tokens)
                || checkpoint == crate::format::TOKENS)
    }

    /// Writes one record, if [`wants`](Self::wants) says so.
    pub fn log<'t, T: Element>(
        &self,
        event: &Event<'_>,
        data: impl Into<TensorView<'t, T>>,
    ) -> Logged {
        if !self.wants_event(event) {
            return Logged::Filtered;
        }
        self.write(event, &data.into())
    }

    fn wants_event(&self, event: &Event<'_>) -> bool {
        self.wants(
            event.checkpoint,
            event.token_idx,
            event.n_tokens.unwrap_or(1),
        )
    }

    fn write<T: Element>(&self, event: &Event<'_>, view: &TensorView<'_, T>) -> Logged {
        let values = if event.checkpoint == crate::format::TOKENS {
            Values::All
        } else {
            self.settings.values
        };
        let summary = (self.settings.detail >= Detail::Stats).then(|| summarize(view));
        let (stats, sketch) = (
            summary.as_ref().map(|both| &both.0),
            summary.as_ref().map(|both| &both.1),
        );
        let payload = if self.settings.detail == Detail::Full {
            self.payloads.write(view, &self.sink)
        } else {
            None
        };
        let extras = Extras {
            stats,
            sketch,
            payload,
            ts_ns: self.now(),
        };
        self.write_line(event, view, values.of(view.len()), &extras)
    }

    /// The time, where records have one.
    fn now(&self) -> Option<u64> {
        self.settings.timestamps.then(now_ns)
    }

    fn write_line<T: Element>(
        &self,
        event: &Event<'_>,
        view: &TensorView<'_, T>,
        count: usize,
        extras: &Extras<'_>,
    ) -> Logged {
        scratch::with_line(|line| {
            push_record(line, self.sink.team(), event, view, count, extras);
            self.hand_over(line)
        })
    }

    /// Counts a record whose data cannot be logged.
    #[cfg(any(feature = "candle", feature = "cuda"))]
    pub(crate) fn refuse(&self) -> Logged {
        self.sink.refuse();
        Logged::Dropped
    }

    fn hand_over(&self, line: &[u8]) -> Logged {
        if let Some(buffers) = &self.buffers {
            if !self.sink.admit(line) {
                return Logged::Dropped;
            }
            if buffers.append(line, &self.sink) {
                self.sink.count_held_back();
                return Logged::Buffered;
            }
            return if self.sink.write_admitted(line, 1) {
                Logged::Written
            } else {
                Logged::Dropped
            };
        }
        if self.sink.write(line) {
            Logged::Written
        } else {
            Logged::Dropped
        }
    }

    /// Writes `NAME.run.json` beside the trace: what the engine knows about this run.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn describe_run(&self, run: &Run) -> io::Result<()> {
        run::write(&self.settings, self.started, run)
    }

    /// Returns when everything logged so far is on the disk (`fsync`), not only in the kernel.
    ///
    /// # Errors
    ///
    /// The operating system could not write it.
    pub fn flush(&self) -> io::Result<()> {
        self.write_held_back();
        self.sink.tell();
        self.payloads.sync()?;
        self.sink.sync()
    }

    /// What became of the records so far.
    pub fn status(&self) -> Status {
        self.sink.status()
    }
}

impl Recorder {
    /// Writes the record that says how much was lost, where the trace has none that says so yet.
    pub(crate) fn tell_losses(&self) {
        self.sink.tell();
    }

    fn write_held_back(&self) {
        if let Some(buffers) = &self.buffers {
            buffers.flush_all(&self.sink);
        }
    }

    /// Writes out what one thread holds back.
    fn flush_thread(&self, index: usize) {
        if let Some(buffers) = &self.buffers {
            buffers.flush_thread(index, &self.sink);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.write_held_back();
        self.sink.tell();
    }
}

/// Nanoseconds since 1970; 0 for a clock before that.
fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}
