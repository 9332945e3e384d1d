//! What a trace's numbers say about each of its names.

use crate::align::Key;
use crate::error::Error;
use crate::tensor::{Numbers, element_count};
use crate::trace::{Entry, Located, Trace};
use orch_log::format::{DROPPED, TOKENS};
use orch_log::{Sketch, Stats};
use std::collections::HashMap;

/// One record, as far as it serves to recognise its name.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) seq: u64,
    pub(super) occurrence: u64,
    /// Position of the first token, and behind the last.
    pub(super) tokens: (i64, i64),
    /// Elements of the tensor.
    pub(super) elements: u64,
    pub(super) values: Vec<f64>,
    pub(super) stats: Option<Stats>,
    pub(super) sketch: Option<Sketch>,
}

/// The records of one name.
#[derive(Clone, Debug)]
pub struct NameProfile {
    /// The name.
    pub name: String,
    /// Shape of its first record.
    pub shape: Vec<usize>,
    /// Records.
    pub records: u64,
    /// Whether the numbers are integers.
    pub(super) integers: bool,
    pub(super) cells: Vec<Cell>,
}

/// All names of a trace in the order of their first records.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The names.
    pub names: Vec<NameProfile>,
}

impl Profile {
    /// Records that are kept of each name. More say nothing new: eight are 128 projections of it.
    const CELLS: usize = 16;

    /// Values that are kept of a record.
    const VALUES: usize = 64;

    /// Elements of a payload that is read for a record without a sketch. Larger ones are known by their first values.
    const ELEMENTS: u64 = 1 << 24;

    /// Reads a trace once. `tokens`, which every trace names so, takes no part.
    ///
    /// `token_offset` is added to the positions.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read.
    pub fn of(trace: &Trace, token_offset: i64) -> Result<Self, Error> {
        let mut profile = Self::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut records = trace.records()?;
        while let Some(entry) = records.next()? {
            let Entry::Record(located) = entry else {
                continue;
            };
            let record = &located.record;
            if record.checkpoint == TOKENS || record.checkpoint == DROPPED {
                continue;
            }
            let place = *places.entry(record.checkpoint.clone()).or_insert_with(|| {
                profile.names.push(NameProfile {
                    name: record.checkpoint.clone(),
                    shape: record.shape.clone(),
                    records: 0,
                    integers: record.dtype.is_integer(),
                    cells: Vec::new(),
                });
                profile.names.len() - 1
            });
            let name = &mut profile.names[place];
            name.records += 1;
            if name.cells.len() < Self::CELLS
                && let Some(cell) = cell(trace, &located, token_offset)?
            {
                name.cells.push(cell);
            }
        }
        Ok(profile)
    }
}

/// `None` for a record that says nothing of its numbers.
fn cell(trace: &Trace, located: &Located, token_offset: i64) -> Result<Option<Cell>, Error> {
    let record = &located.record;
    let Some(elements) = element_count(&record.shape) else {
        return Ok(None);
    };
    let key = Key::of(record);
    let first = key.token_idx.saturating_add(token_offset);
    let mut cell = Cell {
        seq: key.seq,
        occurrence: key.occurrence,
        tokens: (first, first.saturating_add(record.n_tokens as i64)),
        elements,
        values: record
            .values
            .iter()
            .take(Profile::VALUES)
            .copied()
            .collect(),
        stats: record.stats,
        sketch: record.sketch,
    };
    let incomplete = cell.stats.is_none() || cell.sketch.is_none();
    if incomplete
        && elements <= Profile::ELEMENTS
        && let Some(numbers) = all_numbers(trace, located, elements)?
    {
        cell.stats = Some(Stats::of(&numbers));
        cell.sketch = Some(Sketch::of(&numbers));
    }
    let known = cell.stats.is_some() || cell.sketch.is_some() || !cell.values.is_empty();
    Ok((known && elements > 0).then_some(cell))
}

/// All elements, where the trace has them; a damaged payload is as good as none.
fn all_numbers(trace: &Trace, located: &Located, elements: u64) -> Result<Option<Vec<f64>>, Error> {
    let record = &located.record;
    let mut numbers = Vec::new();
    if let Some(Ok(payload)) = trace.payload(record) {
        payload.read(0, elements as usize, &mut numbers)?;
    } else if record.values.len() as u64 == elements {
        numbers.clone_from(&record.values);
    }
    Ok((numbers.len() as u64 == elements && elements > 0).then_some(numbers))
}
