//! Both traces read side by side, with as little look-ahead as their orders allow.

use super::key::Key;
use super::maps::Reading;
use super::order::Place;
use super::stream::{Head, Source, Stream};
use crate::check::Survey;
use crate::check::soundness::Finding;
use crate::error::Error;
use crate::trace::{Located, Trace};
use orch_log::Filter;
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;

/// Two records of one checkpoint and sequence, and the positions that both have.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Their key, in the reference's positions: `token_idx` is the first position that both have.
    pub key: Key,
    /// Positions that both have.
    pub n_tokens: u64,
    /// The reference's record, under its canonical name.
    pub reference: Arc<Located>,
    /// The candidate's record, under its canonical name.
    pub candidate: Arc<Located>,
    /// What of each record takes part, reference first.
    pub shares: [Share; 2],
}

/// The part of a record that takes part in a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Rows on its token axis.
    pub rows: Range<u64>,
    /// How the record is to be read.
    pub reading: Reading,
    /// True where no other rows of the record have been paired yet.
    pub is_first: bool,
}

/// Records of one trace that found no partner.
#[derive(Clone, Debug, Default)]
pub struct Unpaired {
    /// How many have no position in common with the other trace.
    pub records: u64,
    /// The keys of the first ones in file order, at most [`Unpaired::LISTED`].
    pub listed: Vec<Key>,
    /// Stretches of positions of records that were paired at other positions.
    pub rests: u64,
    /// Positions of these stretches.
    pub rest_positions: u64,
}

impl Unpaired {
    /// How many keys are listed.
    pub const LISTED: usize = 200;
}

/// How far the two files have been read, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of both files.
    pub read_bytes: u64,
    /// Bytes of both files.
    pub total_bytes: u64,
}

/// A merge of two traces by checkpoint, sequence and position.
///
/// A batch pairs with the single tokens, or other batches, that cover its positions: each stretch that both
/// have in common is a pair. Of what has no partner yet only positions, a fingerprint and the offset are kept, and the
/// record is read again when the partner comes. Of the two next records the one that is earlier in token position and
/// dataflow goes first, so that two traces of the same order need no look-ahead, one that lacks some records only as much
/// as it lacks, and a batch against single tokens the checkpoints of that batch.
pub struct Lockstep<'t> {
    reference: Stream<'t>,
    candidate: Stream<'t>,
}

impl<'t> Lockstep<'t> {
    /// Starts at the beginning of both traces.
    ///
    /// Only checkpoints that pass `filter` are aligned, all are surveyed.
    ///
    /// # Errors
    ///
    /// When a trace cannot be opened again.
    pub fn new(
        (reference, reference_source): (&'t Trace, Source<'t>),
        (candidate, candidate_source): (&'t Trace, Source<'t>),
        filter: &'t Filter,
    ) -> Result<Self, Error> {
        Ok(Self {
            reference: Stream::new(reference, filter, reference_source)?,
            candidate: Stream::new(candidate, filter, candidate_source)?,
        })
    }

    /// Lets two threads of `scope` read the traces, and check on the way whether each is sound.
    pub fn with_soundness<'scope>(mut self, scope: &'scope Scope<'scope, '_>) -> Self
    where
        't: 'scope,
    {
        for stream in [&mut self.reference, &mut self.candidate] {
            stream.read_ahead(scope);
        }
        self
    }

    /// The next pair, in the order in which pairs become complete; `None` when both traces are at their end.
    ///
    /// # Errors
    ///
    /// When a trace cannot be read.
    pub fn next_pair(&mut self) -> Result<Option<Pair>, Error> {
        loop {
            self.reference.fill()?;
            self.candidate.fill()?;
            let (reference, candidate) = (&mut self.reference, &mut self.candidate);
            if reference.head.is_none() && candidate.head.is_none() {
                return Ok(None);
            }
            if let (Some(a), Some(b)) = (&reference.head, &candidate.head)
                && a.has_lane_of(b)
                && common(&a.positions(), &b.positions()).is_some()
            {
                let heads = reference.head.take().zip(candidate.head.take());
                return Ok(heads.map(|(a, b)| self.pair(a, b)));
            }
            if let Some(a) = &reference.head
                && let Some(b) = candidate.take_waiting(a)?
            {
                let head = reference.head.take();
                return Ok(head.map(|a| self.pair(a, b)));
            }
            if let Some(b) = &candidate.head
                && let Some(a) = reference.take_waiting(b)?
            {
                let head = candidate.head.take();
                return Ok(head.map(|b| self.pair(a, b)));
            }
            let more_waits = reference.waiting.len() > candidate.waiting.len();
            match (&reference.head, &candidate.head) {
                (Some(a), Some(b)) if comes_later(&a.key, &b.key, more_waits) => {
                    candidate.put_head_to_wait();
                }
                (Some(_), _) => reference.put_head_to_wait(),
                (None, _) => candidate.put_head_to_wait(),
            }
        }
    }

    /// Takes back a pair that has been dealt with, whose memory later ones use.
    pub fn give_back(&mut self, pair: Pair) {
        self.reference.input.give_back(pair.reference);
        self.candidate.input.give_back(pair.candidate);
    }

    /// Pairs what two heads have in common; the rest of either waits for another partner.
    fn pair(&mut self, mut a: Head, mut b: Head) -> Pair {
        let positions = common(&a.positions(), &b.positions())
            .expect("heads are only paired where they share positions");
        let shares = [a.share(&positions), b.share(&positions)];
        self.reference.put_rest_to_wait(&mut a, &positions);
        self.candidate.put_rest_to_wait(&mut b, &positions);
        Pair {
            key: Key {
                token_idx: positions.start,
                ..a.key
            },
            n_tokens: positions.end.abs_diff(positions.start),
            reference: a.located,
            candidate: b.located,
            shares,
        }
    }

    /// How far both files have been read.
    pub fn progress(&self) -> Progress {
        Progress {
            read_bytes: self.reference.input.offset_bytes() + self.candidate.input.offset_bytes(),
            total_bytes: self.reference.trace.len_bytes() + self.candidate.trace.len_bytes(),
        }
    }

    /// The records of reference and candidate that wait for a partner: at the end, those that have none.
    ///
    /// # Errors
    ///
    /// When a trace cannot be read again.
    pub fn unpaired(&mut self) -> Result<(Unpaired, Unpaired), Error> {
        Ok((self.reference.unpaired()?, self.candidate.unpaired()?))
    }

    /// Both surveys, and what is wrong with each trace where that was asked for; reference first.
    pub fn finish(self) -> [(Survey, Vec<Finding>); 2] {
        [self.reference, self.candidate].map(|stream| {
            let seen = stream.input.finish();
            (seen.survey.unwrap_or(stream.survey), seen.findings)
        })
    }
}

/// The positions that both ranges have.
fn common(a: &Range<i64>, b: &Range<i64>) -> Option<Range<i64>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (!both.is_empty()).then_some(both)
}

/// True where `a` belongs after `b`; where the names do not tell, `otherwise`.
fn comes_later(a: &Key, b: &Key, otherwise: bool) -> bool {
    let place = |key: &Key| Place::of(&key.checkpoint);
    match a.token_idx.cmp(&b.token_idx) {
        std::cmp::Ordering::Equal => match (place(a), place(b)) {
            (Some(a), Some(b)) if a != b => a > b,
            _ => otherwise,
        },
        order => order.is_gt(),
    }
}
