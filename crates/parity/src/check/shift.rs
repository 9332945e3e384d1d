//! Do two traces count their positions from different origins?

use crate::align::maps::{BoundMap, Mapped};
use crate::error::Error;
use crate::tensor::Numbers;
use crate::trace::{Entry, Located, Trace};

/// The beginnings of one checkpoint's rows, by position.
pub(crate) type Rows = Vec<(i64, Vec<f64>)>;

/// How many rows of a trace are looked at.
const MAX_ROWS: usize = 64;

/// How many elements of a row are looked at.
const ROW_ELEMENTS: usize = 256;

/// ‖a − b‖² / (‖a‖² + ‖b‖²) below which two rows are the same: the noise of 4-bit weights leaves 1e-3, two tokens 1e-1 and
/// more.
const SAME_ROW: f64 = 0.01;

/// A distance between the positions of two traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    /// To be added to the candidate's positions.
    pub(crate) offset: i64,
    /// Rows that then agree.
    pub(crate) agreeing: usize,
    /// Rows that then meet.
    pub(crate) common: usize,
    /// Rows that agree as the positions are counted.
    pub(crate) agreeing_unshifted: usize,
}

/// Reads the first rows of a checkpoint of sequence 0, as far as its elements are known.
///
/// # Errors
///
/// When the trace cannot be read.
pub(crate) fn first_rows(
    trace: &Trace,
    map: Option<&BoundMap<'_>>,
    checkpoint: &str,
) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    let mut records = trace.records()?;
    while rows.len() < MAX_ROWS
        && let Some(entry) = records.next()?
    {
        if let Entry::Record(located) = entry
            && located.record.seq == 0
            && is_named(&located, map, checkpoint)
        {
            add_rows(trace, &located, &mut rows)?;
        }
    }
    rows.truncate(MAX_ROWS);
    Ok(rows)
}

fn is_named(located: &Located, map: Option<&BoundMap<'_>>, checkpoint: &str) -> bool {
    match map.map(|map| map.map(&located.record)) {
        Some(Mapped::Targets(targets)) => targets
            .iter()
            .any(|target| target.checkpoint == checkpoint && target.reading.part.is_none()),
        Some(Mapped::Ignored) => false,
        None | Some(Mapped::Unknown) => located.record.checkpoint == checkpoint,
    }
}

fn add_rows(trace: &Trace, located: &Located, rows: &mut Rows) -> Result<(), Error> {
    let record = &located.record;
    let n = record.n_tokens.max(1);
    let Some(len) = record.len().filter(|len| *len > 0 && len.is_multiple_of(n)) else {
        return Ok(());
    };
    let lies_in_rows = n == 1
        || record.shape.get(record.token_axis) == Some(&n) && {
            record.shape[..record.token_axis]
                .iter()
                .all(|dim| *dim == 1)
        };
    if !lies_in_rows {
        return Ok(());
    }
    let numbers: Box<dyn Numbers> = match trace.payload(record) {
        Some(Ok(payload)) => Box::new(payload),
        _ => Box::new(record.values.as_slice()),
    };
    let row = len / n;
    for index in 0..n.min(MAX_ROWS) {
        let first = (index * row) as u64;
        let known = numbers.available().saturating_sub(first) as usize;
        let count = row.min(ROW_ELEMENTS).min(known);
        if count < 2 {
            break;
        }
        let mut elements = Vec::with_capacity(count);
        numbers.read(first, count, &mut elements)?;
        rows.push((record.token_idx.saturating_add(index as i64), elements));
    }
    Ok(())
}

/// The one distance at which the rows of two traces agree, where they do not agree as they are counted.
///
/// `None` where no distance but 0 makes most of the rows that then meet agree, or where another one does almost as well:
/// rows that are all alike say nothing. At least `least` rows must agree.
pub(crate) fn estimate(reference: &Rows, candidate: &Rows, least: usize) -> Option<Shift> {
    let mut offsets: Vec<i64> = reference
        .iter()
        .flat_map(|(a, _)| candidate.iter().map(move |(b, _)| a.saturating_sub(*b)))
        .collect();
    offsets.sort_unstable();
    offsets.dedup();
    let at = |offset: i64| {
        let mut shift = Shift {
            offset,
            agreeing: 0,
            common: 0,
            agreeing_unshifted: 0,
        };
        for (position, row) in candidate {
            let partner = reference
                .iter()
                .find(|(other, _)| *other == position.saturating_add(offset));
            if let Some((_, other)) = partner {
                shift.common += 1;
                shift.agreeing += usize::from(same_row(other, row));
            }
        }
        shift
    };
    let mut shifts: Vec<Shift> = offsets.into_iter().map(at).collect();
    let unshifted = at(0);
    shifts.sort_by_key(|shift| std::cmp::Reverse(shift.agreeing));
    let best = *shifts.first()?;
    let second = shifts.get(1).map_or(0, |shift| shift.agreeing);
    let clear = best.agreeing >= least
        && best.agreeing * 5 >= best.common * 4
        && second * 2 <= best.agreeing;
    (best.offset != 0 && clear).then_some(Shift {
        agreeing_unshifted: unshifted.agreeing,
        ..best
    })
}

fn same_row(a: &[f64], b: &[f64]) -> bool {
    let few = a.len().min(b.len());
    let sum = |pair: fn(f64, f64) -> f64| {
        a[..few]
            .iter()
            .zip(b)
            .map(|(a, b)| pair(*a, *b))
            .sum::<f64>()
    };
    let apart = sum(|a, b| (a - b) * (a - b));
    let size = sum(|a, b| a * a + b * b);
    few > 1 && size > 0.0 && apart <= SAME_ROW * size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(token: i64) -> Vec<f64> {
        (0..8)
            .map(|k| ((token * 7 + k * 3) as f64 * 1.7).sin())
            .collect()
    }

    fn rows(positions: std::ops::Range<i64>, origin: i64) -> Rows {
        positions
            .map(|position| (position, row(position + origin)))
            .collect()
    }

    #[test]
    fn the_distance_is_found_from_the_numbers() {
        let shift = estimate(&rows(0..9, 0), &rows(7..20, -7), 2).unwrap();
        assert_eq!((shift.offset, shift.agreeing, shift.common), (-7, 9, 9));
        assert_eq!(
            estimate(&rows(0..9, 0), &rows(0..9, 0), 2),
            None,
            "counted alike"
        );
        assert_eq!(
            estimate(&rows(0..9, 0), &rows(0..9, 100), 2),
            None,
            "nothing agrees"
        );
        let constant: Rows = (0..9).map(|position| (position, row(1))).collect();
        assert_eq!(
            estimate(&constant, &constant[3..].to_vec(), 2),
            None,
            "every distance agrees"
        );
        assert_eq!(estimate(&Rows::new(), &rows(0..3, 0), 2), None);
    }
}
