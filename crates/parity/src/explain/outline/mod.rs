//! What can be said where only the first values, statistics and a sketch of each tensor were logged.
//!
//! A sketch is linear: one tensor is so many times another, the sum of two others, or simply another one, exactly where
//! their sketches say so. The first values follow the formulas of elements one by one, and those of norms too, since
//! statistics give the mean and the mean square of a row that was logged alone. So the rules that need no more are
//! tested on [stand-ins](stand_in) for the tensors, which have just those numbers; everything else stays unknown.

mod judge;
mod relations;
mod stand_in;

pub(super) use judge::explain_outline;

use orch_log::format::Record;
use std::ops::Range;

/// The numbers of one record without a payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Its positions.
    pub pass: Range<i64>,
    /// Elements.
    pub len: usize,
    /// Dimensions without that of the tokens.
    pub inner: Vec<usize>,
    /// The first elements, of the first row.
    pub values: Vec<f64>,
    /// Elements that are zero.
    pub zero: usize,
    /// Over all elements.
    pub mean: f64,
    /// Over all elements.
    pub mean_square: f64,
    /// The sketch; empty where an element is not finite.
    pub sketch: Vec<f64>,
}

impl Outline {
    /// The outline of a record; `None` where it has no statistics or is a slice of a tensor.
    pub fn of(record: &Record) -> Option<Self> {
        let stats = record.stats.as_ref()?;
        if record.shard.is_some() || record.token_axis != 0 {
            return None;
        }
        let len: usize = record.shape.iter().product();
        let tokens = record.n_tokens.max(1);
        let row = len / tokens;
        let inner = if record.has_n_tokens {
            record.shape.get(1..)?.to_vec()
        } else {
            crate::tensor::without_token_axis(&record.shape).to_vec()
        };
        let finite = stats.nan == 0 && stats.inf == 0;
        let sketch = record.sketch.as_ref().filter(|_| finite);
        Some(Self {
            pass: record.token_idx..record.token_idx + tokens as i64,
            len,
            inner,
            values: record.values.iter().copied().take(row).collect(),
            zero: stats.zero as usize,
            mean: stats.mean,
            mean_square: stats.rms * stats.rms,
            sketch: sketch.map(|sketch| sketch.s.to_vec()).unwrap_or_default(),
        })
    }

    /// Elements of a row.
    pub fn row_len(&self) -> usize {
        self.len / (self.pass.end - self.pass.start).max(1) as usize
    }
}
