//! A tensor that was copied and waits for its place in the order.

use orch_log::format::Event;
use orch_log::{Logged, Recorder};

use super::node::NodeData;
use super::rows::{Rows, Segment};

/// A tensor on its way from the graph to the trace.
#[derive(Debug)]
pub(super) struct Held {
    /// Place in the dataflow order.
    pub(super) rank: (usize, usize),
    pub(super) name: String,
    /// ggml's name.
    pub(super) node: String,
    /// Name without the `layer_{i}_` in front; empty without a canonical name.
    pub(super) point: &'static str,
    pub(super) occurrence: u64,
    pub(super) op: String,
    pub(super) src: Vec<String>,
    /// Outermost dimension first, the tokens' one.
    pub(super) shape: Vec<usize>,
    pub(super) data: NodeData,
}

impl Held {
    /// Takes the first half of every row away into a tensor of its own. `None` when rows have no halves.
    pub(super) fn split_off_first_half(&mut self) -> Option<Self> {
        let row = *self.shape.last()?;
        let NodeData::F32(data) = &self.data else {
            return None;
        };
        if row == 0 || row % 2 != 0 {
            return None;
        }
        let half = |first: usize| {
            let rows = data.chunks(row);
            NodeData::F32(
                rows.flat_map(|row| &row[first..first + row.len() / 2])
                    .copied()
                    .collect(),
            )
        };
        let (first, second) = (half(0), half(row / 2));
        let mut shape = self.shape.clone();
        *shape.last_mut()? = row / 2;
        (self.shape, self.data) = (shape.clone(), second);
        Some(Self {
            rank: self.rank,
            name: self.name.clone(),
            node: self.node.clone(),
            point: self.point,
            occurrence: self.occurrence,
            op: self.op.clone(),
            src: self.src.clone(),
            shape,
            data: first,
        })
    }

    /// Writes one record for each stretch of neighbouring positions; a single one in all but batches of several
    /// sequences. `each` gets what became of it.
    pub(super) fn write(
        &self,
        recorder: &Recorder,
        step: u64,
        rows: &Rows,
        mut each: impl FnMut(Logged),
    ) {
        let count = self.shape.first().copied().unwrap_or(0);
        match rows.of(count) {
            Some(segments) => {
                for segment in segments {
                    each(self.write_segment(recorder, step, segment, count));
                }
            }
            // A node without a canonical name, whose axes are its own.
            None => {
                let whole = Segment {
                    rows: 0..count,
                    first_position: rows.first_position(),
                    seq: 0,
                };
                each(self.log(
                    recorder,
                    step,
                    &whole,
                    rows.n_tokens(),
                    &self.shape,
                    &self.data,
                ));
            }
        }
    }

    fn write_segment(
        &self,
        recorder: &Recorder,
        step: u64,
        segment: &Segment,
        count: usize,
    ) -> Logged {
        let n_tokens = segment.rows.len();
        if n_tokens == count {
            return self.log(recorder, step, segment, n_tokens, &self.shape, &self.data);
        }
        let row: usize = self.shape[1..].iter().product();
        let data = self
            .data
            .slice(segment.rows.start * row..segment.rows.end * row);
        let mut shape = self.shape.clone();
        shape[0] = n_tokens;
        self.log(recorder, step, segment, n_tokens, &shape, &data)
    }

    fn log(
        &self,
        recorder: &Recorder,
        step: u64,
        segment: &Segment,
        n_tokens: usize,
        shape: &[usize],
        data: &NodeData,
    ) -> Logged {
        let src: Vec<&str> = self.src.iter().map(String::as_str).collect();
        let mut event = Event::new(&self.name, segment.first_position)
            .n_tokens(n_tokens)
            .step(step)
            .seq(segment.seq)
            .occurrence(self.occurrence)
            .shape(shape)
            .src(&src);
        if !self.op.is_empty() {
            event = event.op(&self.op);
        }
        match data {
            NodeData::F32(data) => recorder.log(&event, data.as_slice()),
            NodeData::F16(data) => recorder.log(&event, data.as_slice()),
            NodeData::Bf16(data) => recorder.log(&event, data.as_slice()),
            NodeData::I32(data) => recorder.log(&event, data.as_slice()),
            NodeData::I64(data) => recorder.log(&event, data.as_slice()),
        }
    }
}
