//! A tensor that was copied and waits for its place in the order.

use orch_log::format::Event;
use orch_log::{Digest, Logged, Recorder};

use super::columns::Columns;
use super::names::{NameId, Names};
use super::node::NodeData;
use super::rows::{Rows, Segment};

/// A tensor on its way from the graph to the trace.
#[derive(Debug)]
pub(super) struct Held {
    /// Place in the dataflow order.
    pub(super) rank: (usize, usize),
    pub(super) name: NameId,
    /// ggml's name, where it may be wanted.
    pub(super) node: Option<NameId>,
    /// Name without the `layer_{i}_` in front; empty without a canonical name.
    pub(super) point: &'static str,
    pub(super) occurrence: u64,
    pub(super) op: Option<NameId>,
    pub(super) src: Vec<NameId>,
    /// Whether the outermost dimension is the tokens'.
    pub(super) by_token: bool,
    pub(super) shape: Shape,
    pub(super) data: Numbers,
    /// What the last dimension is, where it is that of scores.
    pub(super) columns: Columns,
}

/// What is kept of a tensor's numbers.
#[derive(Debug)]
pub(super) enum Numbers {
    /// All of them.
    Elements(NodeData),
    /// What a record says of them, where it is known that it will be one record.
    Digest(Box<Digest>),
}

/// Where a tensor is written.
struct Target<'t> {
    recorder: &'t Recorder,
    names: &'t Names,
    step: u64,
}

/// Dimensions, the outermost first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    dims: [usize; 4],
    count: usize,
}

impl Shape {
    pub(super) fn new(dims: impl Iterator<Item = usize>) -> Self {
        let mut shape = Self {
            dims: [0; 4],
            count: 0,
        };
        // ggml's tensors have four axes.
        for dim in dims.take(4) {
            shape.dims[shape.count] = dim;
            shape.count += 1;
        }
        shape
    }
}

impl std::ops::Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.dims[..self.count]
    }
}

impl std::ops::DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.dims[..self.count]
    }
}

impl Held {
    /// Takes the first half of every row away into a tensor of its own. `None` when rows have no halves.
    pub(super) fn split_off_first_half(&mut self) -> Option<Self> {
        let row = *self.shape.last()?;
        let Numbers::Elements(NodeData::F32(data)) = &self.data else {
            return None;
        };
        if row == 0 || row % 2 != 0 {
            return None;
        }
        let half = |first: usize| {
            let rows = data.chunks(row);
            Numbers::Elements(NodeData::F32(
                rows.flat_map(|row| &row[first..first + row.len() / 2])
                    .copied()
                    .collect(),
            ))
        };
        let (first, second) = (half(0), half(row / 2));
        let mut shape = self.shape;
        *shape.last_mut()? = row / 2;
        (self.shape, self.data) = (shape, second);
        Some(Self {
            rank: self.rank,
            name: self.name,
            node: self.node,
            point: self.point,
            occurrence: self.occurrence,
            op: self.op,
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
        names: &Names,
        step: u64,
        rows: &Rows,
        mut each: impl FnMut(Logged),
    ) {
        let to = Target {
            recorder,
            names,
            step,
        };
        let count = self.shape.first().copied().unwrap_or(0);
        let segments = rows.of(count).filter(|_| self.by_token);
        for segment in segments.unwrap_or_default() {
            each(self.write_segment(&to, segment, count));
        }
        if segments.is_none() {
            // A state, such as what the KV cache holds, says at which position it was.
            let event = self.event(&to, rows.first_position(), 0);
            each(self.log(&to, event.shape(&self.shape)));
        }
    }

    fn write_segment(&self, to: &Target<'_>, segment: &Segment, count: usize) -> Logged {
        let n_tokens = segment.rows.len();
        let event = self.event(to, segment.first_position, segment.seq);
        let event = event.n_tokens(n_tokens);
        let columns = self.columns.of(segment);
        if n_tokens == count && columns.is_none() {
            return self.log(to, event.shape(&self.shape));
        }
        let Numbers::Elements(data) = &self.data else {
            // Nobody can tell the rows of a digest apart; it is only made where there is one stretch of them.
            return self.log(to, event.shape(&self.shape));
        };
        let mut shape = self.shape;
        shape[0] = n_tokens;
        let picked = columns.as_deref().zip(shape.last_mut());
        let picked =
            picked.map(|(columns, width)| (std::mem::replace(width, columns.len()), columns));
        let row = self.shape[1..].iter().product();
        let data = data.select(segment.rows.clone(), row, picked);
        self.with_src(to, event.shape(&shape), |event| {
            log(to.recorder, event, &data)
        })
    }

    fn event<'t>(&self, to: &Target<'t>, position: i64, seq: u64) -> Event<'t> {
        let event = Event::new(to.names.text(self.name), position)
            .step(to.step)
            .seq(seq)
            .occurrence(self.occurrence);
        match self.op {
            Some(op) => event.op(to.names.text(op)),
            None => event,
        }
    }

    fn log(&self, to: &Target<'_>, event: Event<'_>) -> Logged {
        self.with_src(to, event, |event| match &self.data {
            Numbers::Elements(data) => log(to.recorder, event, data),
            Numbers::Digest(digest) => to.recorder.log_digest(event, digest),
        })
    }

    /// Adds the names of the sources to `event`.
    fn with_src(
        &self,
        to: &Target<'_>,
        event: Event<'_>,
        log: impl FnOnce(&Event<'_>) -> Logged,
    ) -> Logged {
        let texts = self.src.iter().map(|name| to.names.text(*name));
        // Nearly all nodes have few.
        let mut few = [""; 4];
        if let Some(few) = few.get_mut(..self.src.len()) {
            few.iter_mut().zip(texts).for_each(|(to, from)| *to = from);
            return log(&event.src(few));
        }
        let many: Vec<&str> = texts.collect();
        log(&event.src(&many))
    }
}

fn log(recorder: &Recorder, event: &Event<'_>, data: &NodeData) -> Logged {
    match data {
        NodeData::F32(data) => recorder.log(event, data.as_slice()),
        NodeData::F16(data) => recorder.log(event, data.as_slice()),
        NodeData::Bf16(data) => recorder.log(event, data.as_slice()),
        NodeData::I32(data) => recorder.log(event, data.as_slice()),
        NodeData::I64(data) => recorder.log(event, data.as_slice()),
    }
}
