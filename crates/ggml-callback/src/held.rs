//! A tensor that was copied and waits for its place in the order.

use orch_log::format::Event;
use orch_log::{Logged, Recorder};

use super::columns::Columns;
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
    /// Whether the outermost dimension is the tokens'.
    pub(super) by_token: bool,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
    pub(super) data: NodeData,
    /// What the last dimension is, where it is that of scores.
    pub(super) columns: Columns,
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
            by_token: self.by_token,
            shape,
            data: first,
            columns: self.columns.clone(),
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
        let segments = rows.of(count).filter(|_| self.by_token);
        for segment in segments.unwrap_or_default() {
            each(self.write_segment(recorder, step, segment, count));
        }
        if segments.is_none() {
            // A state, such as what the KV cache holds, says at which position it was.
            let event = self.event(step, rows.first_position(), 0);
            each(self.log(recorder, event.shape(&self.shape), &self.data));
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
        let event = self.event(step, segment.first_position, segment.seq);
        let event = event.n_tokens(n_tokens);
        let columns = self.columns.of(segment);
        if n_tokens == count && columns.is_none() {
            return self.log(recorder, event.shape(&self.shape), &self.data);
        }
        let mut shape = self.shape.clone();
        shape[0] = n_tokens;
        let picked = columns.as_deref().zip(shape.last_mut());
        let picked =
            picked.map(|(columns, width)| (std::mem::replace(width, columns.len()), columns));
        let row = self.shape[1..].iter().product();
        let data = self.data.select(segment.rows.clone(), row, picked);
        self.log(recorder, event.shape(&shape), &data)
    }

    fn event(&self, step: u64, position: i64, seq: u64) -> Event<'_> {
        let event = Event::new(&self.name, position)
            .step(step)
            .seq(seq)
            .occurrence(self.occurrence);
        if self.op.is_empty() {
            event
        } else {
            event.op(&self.op)
        }
    }

    fn log(&self, recorder: &Recorder, event: Event<'_>, data: &NodeData) -> Logged {
        let src: Vec<&str> = self.src.iter().map(String::as_str).collect();
        let event = event.src(&src);
        match data {
            NodeData::F32(data) => recorder.log(&event, data.as_slice()),
            NodeData::F16(data) => recorder.log(&event, data.as_slice()),
            NodeData::Bf16(data) => recorder.log(&event, data.as_slice()),
            NodeData::I32(data) => recorder.log(&event, data.as_slice()),
            NodeData::I64(data) => recorder.log(&event, data.as_slice()),
        }
    }
}
