//! What a record says of a tensor's numbers, for those who log it later than they have it.

use super::Recorder;
use crate::Logged;
use crate::format::Event;
use crate::format::writer::Extras;
use crate::settings::Detail;
use crate::summary::{Sketch, Stats, summarize};
use crate::tensor::TensorView;

/// First values that a digest has room for.
const ROOM: usize = 16;

/// First values, statistics and sketch of a tensor of `f32`: all that a record without a payload says of its numbers.
///
/// A tensor of 4096 elements takes 16 KiB, its digest about 300 bytes.
#[derive(Clone, Debug)]
pub struct Digest {
    first: [f32; ROOM],
    shown: usize,
    summary: Option<(Stats, Sketch)>,
}

impl Recorder {
    /// The digest of `data`. `None` when the settings ask for more than a digest holds: payloads, or more than 16
    /// first values.
    ///
    /// # Example
    ///
    /// ```
    /// use orch_log::{Logged, Recorder, Settings, format::Event};
    /// let folder = std::env::temp_dir().join(format!("orch-log-digest-{}", std::process::id()));
    /// std::fs::create_dir_all(&folder)?;
    /// let recorder = Recorder::create(Settings::new(folder.join("run.jsonl"), "my-engine"))?;
    /// let data = [0.5f32, -1.5, 2.0];
    /// let event = Event::new("logits", 7).shape(&[3]);
    /// let digest = recorder.digest(&data).expect("the default settings ask for 10 values");
    /// recorder.log_digest(&event, &digest);
    /// recorder.log(&event, &data);
    /// let text = std::fs::read_to_string(recorder.path())?;
    /// let lines: Vec<&str> = text.lines().collect();
    /// assert_eq!(lines[0], lines[1]);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn digest(&self, data: &[f32]) -> Option<Digest> {
        let shown = self.settings.values.of(data.len());
        if self.settings.detail == Detail::Full || shown > ROOM {
            return None;
        }
        let mut first = [0.0; ROOM];
        first[..shown].copy_from_slice(&data[..shown]);
        Some(Digest {
            first,
            shown,
            summary: (self.settings.detail >= Detail::Stats)
                .then(|| summarize(&TensorView::new(data))),
        })
    }

    /// Writes the record of a tensor of which only the digest is left, if [`wants`](Self::wants) says so. `event` must
    /// have the tensor's shape.
    pub fn log_digest(&self, event: &Event<'_>, digest: &Digest) -> Logged {
        if !self.wants_event(event) {
            return Logged::Filtered;
        }
        let summary = digest.summary.as_ref();
        let extras = Extras {
            stats: summary.map(|both| &both.0),
            sketch: summary.map(|both| &both.1),
            payload: None,
            ts_ns: self.now(),
        };
        let first = TensorView::new(&digest.first[..digest.shown]);
        self.write_line(event, &first, digest.shown, &extras)
    }
}
