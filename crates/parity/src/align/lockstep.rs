//! Both traces read side by side, with as little look-ahead as their orders allow.

use super::key::{Fingerprint, Key};
use super::order::Place;
use crate::check::{Side, Survey};
use crate::error::Error;
use crate::trace::{Located, Records, Trace};
use orch_log::Filter;
use std::collections::HashMap;

/// Two records with equal keys.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Their key, in the reference's positions.
    pub key: Key,
    /// The reference's record.
    pub reference: Box<Located>,
    /// The candidate's record.
    pub candidate: Box<Located>,
}

/// Records of one trace that found no partner.
#[derive(Clone, Debug, Default)]
pub struct Unpaired {
    /// How many.
    pub records: u64,
    /// The keys of the first ones in file order, at most [`Unpaired::LISTED`].
    pub listed: Vec<Key>,
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

/// A merge of two traces by key.
///
/// Of a record whose partner has not come yet only fingerprint and offset are kept, and it is read again when the
/// partner comes. Of the two next records the one that is earlier in token position and dataflow goes first, so that
/// two traces of the same order need no look-ahead, and one that lacks some records only as much as it lacks.
pub struct Lockstep<'t> {
    reference: Stream<'t>,
    candidate: Stream<'t>,
}

struct Stream<'t> {
    trace: &'t Trace,
    records: Records<'t>,
    survey: Survey,
    filter: &'t Filter,
    /// Added to this trace's positions.
    token_offset: i64,
    head: Option<(Key, Box<Located>)>,
    at_end: bool,
    waiting: HashMap<Fingerprint, u64>,
}

impl<'t> Stream<'t> {
    fn new(
        trace: &'t Trace,
        side: Side,
        filter: &'t Filter,
        token_offset: i64,
    ) -> Result<Self, Error> {
        Ok(Self {
            trace,
            records: trace.records()?,
            survey: Survey::new(side),
            filter,
            token_offset,
            head: None,
            at_end: false,
            waiting: HashMap::new(),
        })
    }

    fn fill(&mut self) -> Result<(), Error> {
        while self.head.is_none() && !self.at_end {
            match self.records.next()? {
                None => {
                    self.at_end = true;
                    self.survey.finish();
                }
                Some(entry) => {
                    self.head = self
                        .survey
                        .observe(entry)
                        .filter(|(key, _)| self.filter.passes(&key.checkpoint))
                        .map(|(key, located)| (self.shifted(key), located));
                }
            }
        }
        Ok(())
    }

    fn shifted(&self, mut key: Key) -> Key {
        key.token_idx = key.token_idx.saturating_add(self.token_offset);
        key
    }

    /// The waiting record of this key, if there is one.
    fn take_waiting(&mut self, key: &Key) -> Result<Option<Box<Located>>, Error> {
        let Some(offset_bytes) = self.waiting.remove(&key.fingerprint()) else {
            return Ok(None);
        };
        let located = self.trace.record_at(offset_bytes)?;
        if self.shifted(Key::of(&located.record)) == *key {
            return Ok(Some(Box::new(located)));
        }
        // Two keys of one fingerprint: this one has no partner, the other one goes on waiting.
        self.waiting.insert(key.fingerprint(), offset_bytes);
        Ok(None)
    }

    fn put_head_to_wait(&mut self) {
        if let Some((key, located)) = self.head.take() {
            self.waiting.insert(key.fingerprint(), located.offset_bytes);
        }
    }

    fn unpaired(&self) -> Result<Unpaired, Error> {
        let mut offsets: Vec<u64> = self.waiting.values().copied().collect();
        offsets.sort_unstable();
        let listed = offsets
            .iter()
            .take(Unpaired::LISTED)
            .map(|offset| Ok(Key::of(&self.trace.record_at(*offset)?.record)))
            .collect::<Result<_, Error>>()?;
        Ok(Unpaired {
            records: self.waiting.len() as u64,
            listed,
        })
    }
}

impl<'t> Lockstep<'t> {
    /// Starts at the beginning of both traces.
    ///
    /// Only checkpoints that pass `filter` are aligned, all are surveyed. `token_offset` is added to the
    /// candidate's positions.
    ///
    /// # Errors
    ///
    /// When a trace cannot be opened again.
    pub fn new(
        reference: &'t Trace,
        candidate: &'t Trace,
        filter: &'t Filter,
        token_offset: i64,
    ) -> Result<Self, Error> {
        Ok(Self {
            reference: Stream::new(reference, Side::Reference, filter, 0)?,
            candidate: Stream::new(candidate, Side::Candidate, filter, token_offset)?,
        })
    }

    /// The next pair, in the order in which pairs become complete; `None` when both traces are at their end.
    ///
    /// # Errors
    ///
    /// When a trace cannot be read.
    pub fn next_pair(&mut self) -> Result<Option<Pair>, Error> {
        let (reference, candidate) = (&mut self.reference, &mut self.candidate);
        loop {
            reference.fill()?;
            candidate.fill()?;
            match (&reference.head, &candidate.head) {
                (None, None) => return Ok(None),
                (Some((a, _)), Some((b, _))) if a == b => {
                    let heads = reference.head.take().zip(candidate.head.take());
                    return Ok(heads.map(|((key, reference), (_, candidate))| Pair {
                        key,
                        reference,
                        candidate,
                    }));
                }
                _ => {}
            }
            if let Some((key, _)) = &reference.head
                && let Some(partner) = candidate.take_waiting(key)?
            {
                let head = reference.head.take();
                return Ok(head.map(|(key, reference)| Pair {
                    key,
                    reference,
                    candidate: partner,
                }));
            }
            if let Some((key, _)) = &candidate.head
                && let Some(partner) = reference.take_waiting(key)?
            {
                let head = candidate.head.take();
                return Ok(head.map(|(key, candidate)| Pair {
                    key,
                    reference: partner,
                    candidate,
                }));
            }
            match (&reference.head, &candidate.head) {
                (Some((a, _)), Some((b, _)))
                    if comes_later(a, b, reference.waiting.len() > candidate.waiting.len()) =>
                {
                    candidate.put_head_to_wait();
                }
                (Some(_), _) => reference.put_head_to_wait(),
                (None, _) => candidate.put_head_to_wait(),
            }
        }
    }

    /// How far both files have been read.
    pub fn progress(&self) -> Progress {
        Progress {
            read_bytes: self.reference.records.offset_bytes()
                + self.candidate.records.offset_bytes(),
            total_bytes: self.reference.trace.len_bytes() + self.candidate.trace.len_bytes(),
        }
    }

    /// What was seen of the reference.
    pub fn reference_survey(&self) -> &Survey {
        &self.reference.survey
    }

    /// What was seen of the candidate.
    pub fn candidate_survey(&self) -> &Survey {
        &self.candidate.survey
    }

    /// The records of reference and candidate that wait for a partner: at the end, those that have none.
    ///
    /// # Errors
    ///
    /// When a trace cannot be read again.
    pub fn unpaired(&self) -> Result<(Unpaired, Unpaired), Error> {
        Ok((self.reference.unpaired()?, self.candidate.unpaired()?))
    }

    /// Both surveys, reference first.
    pub fn into_surveys(self) -> (Survey, Survey) {
        (self.reference.survey, self.candidate.survey)
    }
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
