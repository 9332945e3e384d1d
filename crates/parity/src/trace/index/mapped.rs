//! Rows of records that have other names, and perhaps other axes.

use super::{Gap, Index};
use crate::align::Share;
use crate::align::layout::{View, Viewed, tokens_first};
use crate::align::maps::{Mapped, Part, PartKind, Reading};
use crate::error::Error;
use crate::tensor::{Dense, Numbers};
use orch_log::format::Record;
use std::ops::Range;

impl Index<'_> {
    /// Rows of a record as the checkpoint that the map takes it for.
    pub(super) fn mapped_part(
        &self,
        record: &Record,
        target: u8,
        rows: Range<usize>,
    ) -> Result<Result<Dense, Gap>, Error> {
        let position = record.token_idx;
        let Some(view) = self.view(record, target, rows) else {
            return Ok(Err(Gap::Shape { position }));
        };
        let source: Box<dyn Numbers + '_> = match self.trace.payload(record) {
            Some(Ok(numbers)) => Box::new(numbers),
            Some(Err(fault)) => return Ok(Err(Gap::Payload { position, fault })),
            None => Box::new(record.values.as_slice()),
        };
        let shape = view.dims().to_vec();
        let len = view.len();
        let mut data = Vec::new();
        Viewed::new(source, view).read(0, len as usize, &mut data)?;
        if data.len() as u64 != len {
            return Ok(Err(Gap::NotWhole { position }));
        }
        Ok(Dense::new(shape, data).ok_or(Gap::Shape { position }))
    }

    /// The order in which the elements are read; `None` where the map and the record contradict each other, or the
    /// record does not say how wide the part is.
    fn view(&self, record: &Record, target: u8, rows: Range<usize>) -> Option<View> {
        let Mapped::Targets(mut targets) = self.map.as_ref()?.map(record) else {
            return None;
        };
        let target = usize::from(target);
        if target >= targets.len() || record.shard.is_some() {
            return None;
        }
        let target = targets.swap_remove(target);
        let share = Share {
            rows: rows.start as u64..rows.end as u64,
            reading: Reading {
                part: None,
                ..target.reading
            },
            is_first: true,
        };
        // Names decide whether a last axis of length 1 is one.
        let mut named = Record::default();
        named.checkpoint = target.checkpoint;
        named.shape = record.shape.clone();
        (named.n_tokens, named.has_n_tokens) = (record.n_tokens, record.has_n_tokens);
        named.token_axis = record.token_axis;
        let view = tokens_first(&named, &share).ok()?.view;
        match target.reading.part {
            None => Some(view),
            Some(part) => part_of(&view, part),
        }
    }
}

/// One of equally wide parts; queries, keys and values share a row in proportions that the record does not tell.
fn part_of(view: &View, part: Part) -> Option<View> {
    let total: usize = view.dims()[1..].iter().product();
    if part.kind != PartKind::Equal || !total.is_multiple_of(part.count) {
        return None;
    }
    let width = total / part.count;
    let flat = view.reshaped(1, &[total])?;
    Some(flat.sliced(1, part.index * width..(part.index + 1) * width))
}
