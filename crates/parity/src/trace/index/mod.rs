//! Random access to a trace by name and position.

mod mapped;
mod piece;
mod rows;

pub use piece::{Batch, Gap, Piece};

use super::reader::Entry;
use super::store::Trace;
use crate::align::maps::{BoundMap, Mapped};
use crate::align::{NameId, Names};
use crate::error::Error;
use orch_log::format::{Record, TOKENS};
use std::collections::HashSet;
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
    /// Whose names it has, where they are not the canonical ones.
    map: Option<BoundMap<'t>>,
    names: Names,
    /// By name, in file order.
    pieces: Vec<Vec<Piece>>,
    /// The pass that is being read, and its step.
    pass: u32,
    step: Option<u64>,
    malformed: u64,
    unnamed: u64,
}

impl<'t> Index<'t> {
    /// Reads all records of a trace once, and keeps where they are.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read to its end.
    pub fn new(trace: &'t Trace) -> Result<Self, Error> {
        Self::mapped(trace, None)
    }

    /// The same under canonical names, as a map reads those of the trace.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read to its end.
    pub fn mapped(trace: &'t Trace, map: Option<BoundMap<'t>>) -> Result<Self, Error> {
        let mut index = Self {
            trace,
            map,
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
                Entry::Record(located) => index.add_record(&located.record, located.offset_bytes),
                Entry::Malformed(_) => index.malformed += 1,
            }
        }
        Ok(index)
    }

    fn add_record(&mut self, record: &Record, offset_bytes: u64) {
        let mapped = match &self.map {
            Some(map) if record.checkpoint != TOKENS => map.map(record),
            _ => Mapped::Unknown,
        };
        match mapped {
            Mapped::Unknown => {
                self.add(
                    &record.checkpoint,
                    record,
                    record.occurrence,
                    (offset_bytes, None),
                );
            }
            Mapped::Ignored => {}
            Mapped::Targets(targets) => {
                for (at, target) in targets.into_iter().enumerate() {
                    let alias = target.reading.is_alias;
                    if alias && self.contains(&target.checkpoint) {
                        continue;
                    }
                    let at = u8::try_from(at).ok();
                    // Occurrence was a part of the other vocabulary's name.
                    self.add(&target.checkpoint, record, 0, (offset_bytes, at));
                }
            }
        }
    }

    fn add(
        &mut self,
        name: &str,
        record: &Record,
        occurrence: u64,
        (offset_bytes, target): (u64, Option<u8>),
    ) {
        let Some(id) = self.names.id(name) else {
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
        if stepped || (occurrence == 0 && again.peek().is_some()) {
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
            target,
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

    fn id(&self, name: &str) -> Option<NameId> {
        self.names.find(name)
    }
}
