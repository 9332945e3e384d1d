//! The errors of each name by position.

use super::local::uncertainty;
use super::operation::Input;
use crate::align::NameId;
use crate::judge::summary::PairSummary;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::ops::Range;

/// Of names and sequences the first position of a pair that could not be measured.
pub(in crate::judge) type Unmeasured = HashMap<(NameId, u32), i64>;

/// The pairs of each name and stream in order of position, and the largest errors up to each of them.
#[derive(Debug, Default)]
pub(super) struct History<'p> {
    pairs: &'p [PairSummary],
    by_stream: HashMap<(NameId, u32, u32), Stream, RandomState>,
    unmeasured: Option<&'p Unmeasured>,
}

#[derive(Debug, Default)]
struct Stream {
    indices: Vec<u32>,
    /// The first position of each: every input of every pair is looked up among them.
    positions: Vec<i64>,
    /// The largest of everything up to and including each of `indices`: an attention reads all positions before its
    /// own, and asking each of them again would take quadratic time.
    peaks: Vec<Peak>,
}

/// The largest figures of several pairs of one name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    /// NMSE; infinite where it is not a number.
    pub(super) nmse: f64,
    error: f32,
    rms: Option<f32>,
    crest: Option<f32>,
}

impl Peak {
    fn of(pair: &PairSummary) -> Self {
        // What is not a number explains whatever comes of it.
        let nmse = if pair.nmse.is_nan() {
            f64::INFINITY
        } else {
            pair.nmse
        };
        Self {
            nmse,
            error: (nmse.sqrt() * uncertainty(pair.rests_on)) as f32,
            rms: pair.reference_rms,
            crest: pair.reference_crest,
        }
    }

    fn or(self, other: Self) -> Self {
        let larger = |a: Option<f32>, b: Option<f32>| a.zip(b).map(|(a, b)| a.max(b)).or(a).or(b);
        Self {
            nmse: self.nmse.max(other.nmse),
            error: self.error.max(other.error),
            rms: larger(self.rms, other.rms),
            crest: larger(self.crest, other.crest),
        }
    }

    pub(super) fn input(self) -> Input {
        Input {
            error: self.error.into(),
            rms: self.rms.map(f64::from),
            crest: self.crest.map(f64::from),
        }
    }
}

/// Which positions of an input a pair's operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Its own.
    Own,
    /// Its own and all before.
    Past,
}

impl<'p> History<'p> {
    pub(super) fn of(pairs: &'p [PairSummary], unmeasured: &'p Unmeasured) -> Self {
        let mut by_stream: HashMap<_, Stream, RandomState> = HashMap::default();
        for (index, pair) in pairs.iter().enumerate() {
            let stream = by_stream.entry((pair.name, pair.seq, pair.rank));
            stream.or_default().indices.push(index as u32);
        }
        for stream in by_stream.values_mut() {
            let position = |index: &u32| pairs[*index as usize].token_idx;
            stream.indices.sort_by_key(position);
            stream.positions = stream.indices.iter().map(position).collect();
            let mut peak: Option<Peak> = None;
            stream.peaks = stream
                .indices
                .iter()
                .map(|index| {
                    let own = Peak::of(&pairs[*index as usize]);
                    let so_far = peak.map_or(own, |peak| peak.or(own));
                    peak = Some(so_far);
                    so_far
                })
                .collect();
        }
        Self {
            pairs,
            by_stream,
            unmeasured: Some(unmeasured),
        }
    }

    /// The largest figures of `name` where `pair` reads it; `None` where no pair of it lies there, or one lies there that
    /// could not be measured.
    pub(super) fn peak(&self, name: NameId, pair: &PairSummary, reads: Reads) -> Option<Peak> {
        match reads {
            Reads::Own => self.overlapping(name, pair).map(Peak::of).reduce(Peak::or),
            Reads::Past => {
                let first = self
                    .unmeasured
                    .and_then(|unmeasured| unmeasured.get(&(name, pair.seq)));
                if first.is_some_and(|first| *first < pair.positions().end) {
                    return None;
                }
                let stream = self.by_stream.get(&(name, pair.seq, pair.rank))?;
                let end = stream.before(pair.positions().end);
                stream.peaks[..end].last().copied()
            }
        }
    }

    /// The largest figures of `name` at any position of the stream of `pair`.
    pub(super) fn largest(&self, name: NameId, pair: &PairSummary) -> Option<Peak> {
        let stream = self.by_stream.get(&(name, pair.seq, pair.rank))?;
        stream.peaks.last().copied()
    }

    /// The pairs of `name` at the positions of `pair`.
    pub(super) fn overlapping(
        &self,
        name: NameId,
        pair: &PairSummary,
    ) -> impl Iterator<Item = &'p PairSummary> + use<'_, 'p> {
        let stream = self.by_stream.get(&(name, pair.seq, pair.rank));
        let Range { start, end } = pair.positions();
        let indices = stream.map_or(&[][..], |stream| &stream.indices[..stream.before(end)]);
        // Batches of one name do not overlap each other.
        indices
            .iter()
            .rev()
            .map(|index| &self.pairs[*index as usize])
            .take_while(move |pair| pair.positions().end > start)
    }
}

impl Stream {
    /// How many begin before a position.
    fn before(&self, end: i64) -> usize {
        let is_before = |first: &i64| *first < end;
        // Positions mostly follow each other: then their number is a difference, and the search needs no memory.
        let first = self.positions.first().copied().unwrap_or(end);
        let guess = usize::try_from(end.saturating_sub(first)).unwrap_or(0);
        let guess = guess.min(self.positions.len());
        let (before, after) = self.positions.split_at(guess);
        if before.last().is_none_or(is_before) && !after.first().is_some_and(is_before) {
            return guess;
        }
        self.positions.partition_point(is_before)
    }
}
