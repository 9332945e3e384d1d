//! Random access to a trace by name and position.

use super::payload::PayloadFault;
use super::reader::Entry;
use super::store::Trace;
use crate::align::{NameId, Names};
use crate::error::Error;
use crate::tensor::{Dense, Numbers, element_count, without_token_axis};
use orch_log::format::{Dtype, Record};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Where every tensor of a trace lies, so that its rows can be asked for by name, sequence and position.
///
/// A batch of a prompt and the single tokens after it are one tensor here: which pass computed a row does not
/// matter to whoever asks for it. The records themselves stay on disk; about 60 bytes of each are kept.
///
/// # Example
///
/// ```
/// use parity::trace::{Index, Trace};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let line = |position: u64, values: &str, shape: &str, n: u64| format!(
///     r#"{{"checkpoint":"final_norm","team":"t","token_idx":{position},"dtype":"f32","shape":"{shape}","values":[{values}],"n_tokens":{n}}}"#
/// );
/// let text = format!("{}\n{}\n", line(0, "1,2,3,4", "[2,2]", 2), line(2, "5,6", "[1,2]", 1));
/// std::fs::write(folder.path().join("run.jsonl"), text)?;
/// let trace = Trace::open(folder.path().join("run.jsonl"))?;
/// let index = Index::new(&trace)?;
/// assert_eq!(index.positions("final_norm", 0), [0..2, 2..3]);
/// let rows = index.rows("final_norm", 0, 1..3)?.expect("captured");
/// assert_eq!((rows.shape, rows.data), (vec![2, 2], vec![3.0, 4.0, 5.0, 6.0]));
/// # Ok(())
/// # }
/// ```
pub struct Index<'t> {
    trace: &'t Trace,
    names: Names,
    /// By name, in file order.
    pieces: Vec<Vec<Piece>>,
    /// The pass that is being read, and its step.
    pass: u32,
    step: Option<u64>,
    malformed: u64,
    unnamed: u64,
}

/// One record: rows of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Sequence in a batch.
    pub seq: u64,
    /// Absolute position of the first row.
    pub first: i64,
    /// Rows.
    pub tokens: usize,
    /// Forward pass, counted in the order of the file: a pass ends where the step changes or a name comes again.
    pub pass: u32,
    /// Storage type before logging.
    pub dtype: Dtype,
    /// Where its line begins.
    pub offset_bytes: u64,
}

/// Records that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Of the first row to that of the last, and one more.
    pub positions: Range<i64>,
    /// The pass of the last record.
    pub pass: u32,
}

impl Piece {
    /// The positions of its rows.
    pub fn positions(&self) -> Range<i64> {
        self.first..self.first.saturating_add(self.tokens as i64)
    }
}

/// Why rows cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// No record of this name has the position.
    NotLogged {
        /// The first position that is missing.
        position: i64,
    },
    /// The record has no payload, and not all elements among its values.
    NotWhole {
        /// Position of the record's first row.
        position: i64,
    },
    /// The payload that a record names cannot be used.
    Payload {
        /// Position of the record's first row.
        position: i64,
        /// Why.
        fault: PayloadFault,
    },
    /// The record holds a slice of a tensor-parallel run, or a shape that does not fit its tokens.
    Shape {
        /// Position of the record's first row.
        position: i64,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLogged { position } => write!(f, "not logged at position {position}"),
            Self::NotWhole { position } => write!(
                f,
                "only its first elements were logged at position {position}"
            ),
            Self::Payload { position, fault } => write!(f, "at position {position}, {fault}"),
            Self::Shape { position } => write!(
                f,
                "the record at position {position} is a slice, or its shape has no axis of tokens"
            ),
        }
    }
}

impl<'t> Index<'t> {
    /// Reads all records of a trace once, and keeps where they are.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read to its end.
    pub fn new(trace: &'t Trace) -> Result<Self, Error> {
        let mut index = Self {
            trace,
            names: Names::default(),
            pieces: Vec::new(),
            pass: 0,
            step: None,
            malformed: 0,
            unnamed: 0,
        };
        let mut records = trace.records()?;
        while let Some(entry) = records.next()? {
            match entry {
                Entry::Record(located) => index.add(&located.record, located.offset_bytes),
                Entry::Malformed(_) => index.malformed += 1,
            }
        }
        Ok(index)
    }

    fn add(&mut self, record: &Record, offset_bytes: u64) {
        let Some(id) = self.names.id(&record.checkpoint) else {
            self.unnamed += 1;
            return;
        };
        if id.index() == self.pieces.len() {
            self.pieces.push(Vec::new());
        }
        let of_name = &mut self.pieces[id.index()];
        let this_pass = of_name
            .iter()
            .rev()
            .take_while(|piece| piece.pass == self.pass);
        let mut again = this_pass.filter(|piece| piece.seq == record.seq).peekable();
        let stepped = record.step.is_some() && self.step.is_some() && record.step != self.step;
        if stepped || (record.occurrence == 0 && again.peek().is_some()) {
            self.pass += 1;
        } else if again.any(|piece| piece.positions().contains(&record.token_idx)) {
            // A further value of the same name at the same positions: not what the name stands for.
            return;
        }
        self.step = record.step.or(self.step);
        of_name.push(Piece {
            seq: record.seq,
            first: record.token_idx,
            tokens: record.n_tokens,
            pass: self.pass,
            dtype: record.dtype,
            offset_bytes,
        });
    }

    /// The trace.
    pub fn trace(&self) -> &'t Trace {
        self.trace
    }

    /// All checkpoint names in the order in which they first appear.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter()
    }

    /// True where a record has this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.find(name).is_some()
    }

    /// Lines that are not records, and records whose names were too many to keep.
    pub fn left_out(&self) -> u64 {
        self.malformed + self.unnamed
    }

    /// The records of a name in file order.
    pub fn pieces(&self, name: &str) -> &[Piece] {
        self.id(name)
            .map_or(&[], |id| self.pieces[id.index()].as_slice())
    }

    /// All sequences that occur, ascending.
    pub fn sequences(&self) -> Vec<u64> {
        let mut found: Vec<u64> = self
            .pieces
            .iter()
            .flatten()
            .map(|piece| piece.seq)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The positions of each record of a name and sequence, in file order; those of repeated records once.
    pub fn positions(&self, name: &str, seq: u64) -> Vec<Range<i64>> {
        let mut seen = HashSet::new();
        let of_seq = self.pieces(name).iter().filter(|piece| piece.seq == seq);
        let positions = of_seq.map(Piece::positions);
        positions
            .filter(|range| seen.insert((range.start, range.end)))
            .collect()
    }

    /// Records of a name and sequence that follow each other without a gap or a step back, joined, in file order.
    ///
    /// A step back is a new prompt, or tokens that are computed again; what was logged before it belongs to what was
    /// computed before it.
    pub fn batches(&self, name: &str, seq: u64) -> Vec<Batch> {
        let mut found: Vec<Batch> = Vec::new();
        for piece in self.pieces(name).iter().filter(|piece| piece.seq == seq) {
            let positions = piece.positions();
            match found.last_mut() {
                Some(batch) if batch.positions.end == positions.start => {
                    batch.positions.end = positions.end;
                    batch.pass = piece.pass;
                }
                _ => found.push(Batch {
                    positions,
                    pass: piece.pass,
                }),
            }
        }
        found
    }

    /// For each position the first one of the record that has it; its own where none has.
    pub fn pass_starts(&self, name: &str, seq: u64, tokens: Range<i64>, pass: u32) -> Vec<i64> {
        let pieces = self.pieces(name);
        let start = |position: i64| {
            let piece = pieces.iter().rfind(|piece| {
                piece.pass <= pass && piece.seq == seq && piece.positions().contains(&position)
            });
            piece.map_or(position, |piece| piece.first)
        };
        tokens.map(start).collect()
    }

    /// All rows of a range of positions; `None` where one of them was not wholly captured.
    ///
    /// As [`Index::look`], which says why.
    ///
    /// # Errors
    ///
    /// When the trace or a payload cannot be read.
    pub fn rows(&self, name: &str, seq: u64, tokens: Range<i64>) -> Result<Option<Dense>, Error> {
        Ok(self.look(name, seq, tokens)?.ok())
    }

    /// All rows of a range of positions, or why they cannot be had.
    ///
    /// Where several records have a position, the last one in the file counts: a cache, too, holds what was
    /// written last.
    ///
    /// # Shape
    ///
    /// `[tokens, ...]`. Records whose innermost axis grows with the position (`attn_scores`, `attn_probs`) are made
    /// as long as the longest with zeros: those are places that the causal mask hides.
    ///
    /// # Errors
    ///
    /// When the trace or a payload cannot be read.
    pub fn look(
        &self,
        name: &str,
        seq: u64,
        tokens: Range<i64>,
    ) -> Result<Result<Dense, Gap>, Error> {
        self.look_as_of(name, seq, tokens, u32::MAX)
    }

    /// As [`Index::look`], as if the trace ended with this pass.
    ///
    /// # Errors
    ///
    /// When the trace or a payload cannot be read.
    pub fn look_as_of(
        &self,
        name: &str,
        seq: u64,
        tokens: Range<i64>,
        pass: u32,
    ) -> Result<Result<Dense, Gap>, Error> {
        let pieces = self.pieces(name);
        let pieces = &pieces[..pieces.partition_point(|piece| piece.pass <= pass)];
        let mut parts: Vec<(Dense, usize)> = Vec::new();
        let mut position = tokens.start;
        while position < tokens.end {
            let holds = |piece: &Piece| piece.seq == seq && piece.positions().contains(&position);
            let Some(last) = pieces.iter().rposition(holds) else {
                return Ok(Err(Gap::NotLogged { position }));
            };
            let piece = &pieces[last];
            // Up to where a later record takes over.
            let end = pieces[last + 1..]
                .iter()
                .filter(|later| later.seq == seq && later.first > position)
                .map(|later| later.first)
                .chain([piece.positions().end, tokens.end])
                .min()
                .unwrap_or(tokens.end);
            let rows = (position - piece.first) as usize..(end - piece.first) as usize;
            match self.part(piece, rows)? {
                Ok(part) => parts.push((part, usize::try_from(piece.positions().end).unwrap_or(0))),
                Err(gap) => return Ok(Err(gap)),
            }
            position = end;
        }
        Ok(joined(parts).ok_or(Gap::Shape {
            position: tokens.start,
        }))
    }

    fn part(&self, piece: &Piece, rows: Range<usize>) -> Result<Result<Dense, Gap>, Error> {
        let position = piece.first;
        let record = self.trace.record_at(piece.offset_bytes)?.record;
        let Some(shape) = row_major(&record).filter(|_| record.shard.is_none()) else {
            return Ok(Err(Gap::Shape { position }));
        };
        let whole = element_count(&shape).unwrap_or(u64::MAX);
        let row_len = whole / (shape[0].max(1) as u64);
        // Only the rows that are wanted are read, unless the tokens are not outermost.
        let all = record.token_axis != 0 && record.has_n_tokens;
        let (first, count) = if all {
            (0, whole)
        } else {
            (rows.start as u64 * row_len, rows.len() as u64 * row_len)
        };
        let mut data = Vec::new();
        let read = match self.trace.payload(&record) {
            Some(Ok(numbers)) => numbers.read(first, count as usize, &mut data),
            Some(Err(fault)) => return Ok(Err(Gap::Payload { position, fault })),
            None if record.values.len() as u64 == whole => {
                record
                    .values
                    .as_slice()
                    .read(first, count as usize, &mut data)
            }
            None => return Ok(Err(Gap::NotWhole { position })),
        };
        read?;
        if all {
            let dense = tokens_outermost(&record, &shape, &data);
            return Ok(Ok(dense.rows_in(rows)));
        }
        let shape = [&[rows.len()], &shape[1..]].concat();
        Ok(Dense::new(shape, data).ok_or(Gap::Shape { position }))
    }

    fn id(&self, name: &str) -> Option<NameId> {
        self.names.find(name)
    }
}

/// The record's shape with its tokens outermost; `None` where no axis is as long as the record has tokens.
fn row_major(record: &Record) -> Option<Vec<usize>> {
    if record.has_n_tokens {
        let mut shape = record.shape.clone();
        if record.token_axis >= shape.len() || shape[record.token_axis] != record.n_tokens {
            return None;
        }
        let tokens = shape.remove(record.token_axis);
        shape.insert(0, tokens);
        return Some(shape);
    }
    // A record of six fields is one token, with or without an axis for it.
    Some([&[1], without_token_axis(&record.shape)].concat())
}

/// Moves the axis of the tokens to the front. `shape` is that of the result.
fn tokens_outermost(record: &Record, shape: &[usize], data: &[f64]) -> Dense {
    let axis = record.token_axis;
    let inner: usize = record.shape[axis + 1..].iter().product();
    let outer: usize = record.shape[..axis].iter().product();
    let tokens = shape[0];
    let mut out = Vec::with_capacity(data.len());
    for token in 0..tokens {
        for block in 0..outer {
            out.extend_from_slice(&data[(block * tokens + token) * inner..][..inner]);
        }
    }
    Dense {
        shape: shape.to_vec(),
        data: out,
    }
}

/// Rows one after another, each part with the position after its record's last row; `None` where they do not fit
/// together.
fn joined(parts: Vec<(Dense, usize)>) -> Option<Dense> {
    let longest = parts.iter().map(|(part, _)| part.last_len()).max()?;
    let mut shape = parts.first()?.0.shape.clone();
    let ndim = shape.len();
    shape[0] = parts.iter().map(|(part, _)| part.n_rows()).sum();
    if ndim > 1 {
        shape[ndim - 1] = longest;
    }
    let mut data = Vec::new();
    for (part, end) in &parts {
        let len = part.last_len();
        let whole = ndim < 2 || len == longest;
        // Only an axis of key positions grows.
        let fits = part.shape.len() == ndim
            && part.shape.get(1..ndim - 1) == shape.get(1..ndim - 1)
            && (whole || len == *end);
        if !fits {
            return None;
        }
        if whole {
            data.extend_from_slice(&part.data);
            continue;
        }
        for row in part.data.chunks(len.max(1)) {
            data.extend_from_slice(row);
            data.resize(data.len() + longest - len, 0.0);
        }
    }
    Dense::new(shape, data)
}
