//! What a record says besides its numbers.

use super::Dtype;

/// All of a record except the numbers: which tensor this is, and where it came from.
///
/// A builder over borrowed data; making one allocates nothing.
///
/// # Example
///
/// ```
/// use orch_log::format::Event;
/// let event = Event::new("layer_0_q", 7).shape(&[1, 9, 64]).n_tokens(1).step(3).op("MUL_MAT");
/// assert_eq!(event.checkpoint, "layer_0_q");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// Canonical checkpoint name; any name is legal.
    pub checkpoint: &'a str,
    /// Absolute 0-based position in the sequence of the record's first token.
    pub token_idx: i64,
    /// Outermost dimension first.
    pub shape: Shape<'a>,
    /// Storage type before logging, where it differs from the type of the logged elements.
    pub dtype: Option<Dtype>,
    /// Token positions covered; not written when `None`.
    pub n_tokens: Option<usize>,
    /// Forward pass, 0 = prefill.
    pub step: Option<u64>,
    /// Sequence in a batch; written when not 0.
    pub seq: u64,
    /// How many records of this name the step already had; written when not 0.
    pub occurrence: u64,
    /// The axis that holds the tokens; written when not 0.
    pub token_axis: usize,
    /// Slice of a tensor-parallel run.
    pub shard: Option<Shard>,
    /// Producing operation.
    pub op: Option<&'a str>,
    /// Names of the operation's inputs.
    pub src: &'a [&'a str],
    /// Free text: which part of the engine logged.
    pub source: Option<&'a str>,
    /// Source file and line of the logging call.
    pub location: Option<(&'a str, u32)>,
}

/// The shape of the logged tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape<'a> {
    /// The shape of the view that is logged.
    FromView,
    /// Given as numbers.
    Dims(&'a [usize]),
    /// Given as text, `"[896]"`. What does not read as a shape is replaced by the view's own.
    Text(&'a str),
}

/// Which slice of which group of processes a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    /// Process in the group, 0-based.
    pub rank: u64,
    /// Processes in the group.
    pub world: u64,
    /// The axis that was split.
    pub axis: usize,
    /// Which slice along that axis, 0-based.
    pub index: usize,
    /// Slices along that axis.
    pub count: usize,
}

impl<'a> Event<'a> {
    /// A record of `checkpoint` whose first row belongs to position `token_idx`.
    pub const fn new(checkpoint: &'a str, token_idx: i64) -> Self {
        Self {
            checkpoint,
            token_idx,
            shape: Shape::FromView,
            dtype: None,
            n_tokens: None,
            step: None,
            seq: 0,
            occurrence: 0,
            token_axis: 0,
            shard: None,
            op: None,
            src: &[],
            source: None,
            location: None,
        }
    }

    /// The shape, outermost dimension first.
    pub const fn shape(mut self, dims: &'a [usize]) -> Self {
        self.shape = Shape::Dims(dims);
        self
    }

    /// The shape as text, `"[896]"`.
    pub const fn shape_text(mut self, text: &'a str) -> Self {
        self.shape = Shape::Text(text);
        self
    }

    /// The shape in any form.
    pub const fn shape_as(mut self, shape: Shape<'a>) -> Self {
        self.shape = shape;
        self
    }

    /// The storage type before logging, where elements were converted (quantised blocks to `f32`).
    pub const fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Token positions covered.
    pub const fn n_tokens(mut self, n_tokens: usize) -> Self {
        self.n_tokens = Some(n_tokens);
        self
    }

    /// Forward pass, 0 = prefill.
    pub const fn step(mut self, step: u64) -> Self {
        self.step = Some(step);
        self
    }

    /// Sequence in a batch.
    pub const fn seq(mut self, seq: u64) -> Self {
        self.seq = seq;
        self
    }

    /// How many records of this name the step already had.
    pub const fn occurrence(mut self, occurrence: u64) -> Self {
        self.occurrence = occurrence;
        self
    }

    /// The axis that holds the tokens, where it is not the outermost.
    pub const fn token_axis(mut self, axis: usize) -> Self {
        self.token_axis = axis;
        self
    }

    /// Process `rank` of `world` holds slice `index` of `count` along `axis`.
    pub const fn shard(
        mut self,
        rank: u64,
        world: u64,
        axis: usize,
        index: usize,
        count: usize,
    ) -> Self {
        self.shard = Some(Shard {
            rank,
            world,
            axis,
            index,
            count,
        });
        self
    }

    /// The producing operation.
    pub const fn op(mut self, op: &'a str) -> Self {
        self.op = Some(op);
        self
    }

    /// The names of the operation's inputs.
    pub const fn src(mut self, src: &'a [&'a str]) -> Self {
        self.src = src;
        self
    }

    /// Which part of the engine logged.
    pub const fn source(mut self, source: &'a str) -> Self {
        self.source = Some(source);
        self
    }

    /// Source file and line of the logging call.
    pub const fn location(mut self, file: &'a str, line: u32) -> Self {
        self.location = Some((file, line));
        self
    }
}
