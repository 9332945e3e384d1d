//! Rows, put together from the records that hold them.

use super::{Gap, Index, Piece};
use crate::error::Error;
use crate::tensor::{Dense, Numbers, element_count, without_token_axis};
use orch_log::format::Record;
use std::ops::Range;

impl Index<'_> {
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
        if let Some(target) = piece.target {
            return self.mapped_part(&record, target, rows);
        }
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
