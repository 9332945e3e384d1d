//! One of two traces that are read side by side.

use super::input::Input;
use super::key::Key;
use super::lane::{Lane, Waiting, WaitingRoom};
use super::lockstep::{Share, Unpaired};
use super::maps::{BoundMap, Mapped, Reading};
use crate::check::Survey;
use crate::error::Error;
use crate::trace::{Entry, Located, Trace};
use orch_log::Filter;
use orch_log::format::TOKENS;
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;

/// How one trace is read.
#[derive(Clone, Default)]
pub struct Source<'t> {
    /// Its names; `None` where they are taken as they are.
    pub map: Option<BoundMap<'t>>,
    /// Added to its positions.
    pub token_offset: i64,
}

/// Positions of one record that are about to be paired.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Its positions begin at `key.token_idx`.
    pub(super) key: Key,
    lane: OnceCell<Lane>,
    n_tokens: u32,
    /// The record's own first position, shifted like the key's.
    record_first: i64,
    target: u8,
    is_rest: bool,
    pub(super) located: Arc<Located>,
    reading: Reading,
}

impl Head {
    pub(super) fn positions(&self) -> Range<i64> {
        let first = self.key.token_idx;
        first..first.saturating_add(i64::from(self.n_tokens))
    }

    /// The part of the record that lies at these positions.
    pub(super) fn share(&self, positions: &Range<i64>) -> Share {
        let row = |position: i64| position.saturating_sub(self.record_first).max(0) as u64;
        Share {
            rows: row(positions.start)..row(positions.end),
            reading: self.reading.clone(),
            is_first: !self.is_rest,
        }
    }

    /// True where only positions keep the two apart.
    pub(super) fn has_lane_of(&self, other: &Self) -> bool {
        let (a, b) = (&self.key, &other.key);
        (a.seq, a.occurrence, a.rank) == (b.seq, b.occurrence, b.rank)
            && a.checkpoint == b.checkpoint
    }

    /// Most heads meet their partner at once and never need it.
    fn lane(&self) -> Lane {
        *self.lane.get_or_init(|| Lane::of(&self.key))
    }
}

pub(super) struct Stream<'t> {
    pub(super) trace: &'t Trace,
    pub(super) input: Input<'t>,
    pub(super) survey: Survey,
    /// Whether the thread that reads ahead fills another one.
    surveys_ahead: bool,
    filter: &'t Filter,
    source: Source<'t>,
    /// Checkpoints of the record that was read last.
    next: VecDeque<Head>,
    pub(super) head: Option<Head>,
    at_end: bool,
    pub(super) waiting: WaitingRoom,
}

impl<'t> Stream<'t> {
    pub(super) fn new(
        trace: &'t Trace,
        filter: &'t Filter,
        source: Source<'t>,
    ) -> Result<Self, Error> {
        Ok(Self {
            trace,
            input: Input::Here(trace.records()?),
            survey: Survey::default(),
            surveys_ahead: false,
            filter,
            source,
            next: VecDeque::new(),
            head: None,
            at_end: false,
            waiting: WaitingRoom::default(),
        })
    }

    /// Lets a thread of `scope` read what is left and look at it on the way; names that a map changes are surveyed here.
    pub(super) fn read_ahead<'scope>(&mut self, scope: &'scope Scope<'scope, '_>)
    where
        't: 'scope,
    {
        self.surveys_ahead = self.source.map.is_none();
        let survey = self.surveys_ahead.then(|| std::mem::take(&mut self.survey));
        self.input.read_ahead(self.trace, survey, scope);
    }

    pub(super) fn fill(&mut self) -> Result<(), Error> {
        while self.head.is_none() && !self.at_end {
            self.head = self.next.pop_front();
            if self.head.is_some() {
                break;
            }
            match self.input.next()? {
                None => self.at_end = true,
                Some(entry) => self.observe_entry(entry),
            }
        }
        Ok(())
    }

    fn observe_entry(&mut self, entry: Entry) {
        match entry {
            Entry::Malformed(_) => self.survey.malformed += 1,
            // By far the most; a list for one would be one more piece of memory for each record.
            Entry::Record(located) if self.source.map.is_none() => {
                self.head = self.observe(0, (located, Reading::default()));
            }
            Entry::Record(located) => {
                for (target, named) in self.named(located).into_iter().enumerate() {
                    let head = self.observe(target, named);
                    self.next.extend(head);
                }
            }
        }
    }

    /// The record under each of the names that it has.
    fn named(&mut self, located: Arc<Located>) -> Vec<(Arc<Located>, Reading)> {
        let mapped = match &self.source.map {
            Some(map) if located.record.checkpoint != TOKENS => map.map(&located.record),
            _ => Mapped::Unknown,
        };
        match mapped {
            Mapped::Unknown => vec![(located, Reading::default())],
            Mapped::Ignored => {
                self.survey.ignored += 1;
                Vec::new()
            }
            Mapped::Targets(targets) => targets
                .into_iter()
                .map(|target| {
                    let mut renamed = Located::clone(&located);
                    renamed.record.checkpoint = target.checkpoint;
                    // Occurrence was a part of the other vocabulary's name.
                    renamed.record.occurrence = 0;
                    (Arc::new(renamed), target.reading)
                })
                .collect(),
        }
    }

    /// The head that a record makes, if it takes part.
    fn observe(
        &mut self,
        target: usize,
        (located, reading): (Arc<Located>, Reading),
    ) -> Option<Head> {
        let key = if self.surveys_ahead {
            Some(Key::of(&located.record))
        } else if reading.is_alias {
            self.survey.observe_alias(&located)
        } else {
            self.survey.observe_record(&located)
        };
        let key = key.filter(|key| self.filter.passes(&key.checkpoint))?;
        Some(self.head_of(key, located, target, reading))
    }

    fn head_of(&self, key: Key, located: Arc<Located>, target: usize, reading: Reading) -> Head {
        let key = self.shifted(key);
        Head {
            lane: OnceCell::new(),
            n_tokens: u32::try_from(located.record.n_tokens)
                .unwrap_or(u32::MAX)
                .max(1),
            record_first: key.token_idx,
            target: u8::try_from(target).unwrap_or(u8::MAX),
            is_rest: false,
            key,
            located,
            reading,
        }
    }

    fn shifted(&self, mut key: Key) -> Key {
        key.token_idx = key.token_idx.saturating_add(self.source.token_offset);
        key
    }

    /// The record of an entry that waited, read again.
    fn read_again(&mut self, first: i64, waiting: Waiting) -> Result<Option<Head>, Error> {
        let located = Arc::new(self.trace.record_at(waiting.offset_bytes)?);
        let ignored = self.survey.ignored;
        let named = self.named(located);
        self.survey.ignored = ignored;
        let Some((located, reading)) = named.into_iter().nth(usize::from(waiting.target)) else {
            return Ok(None);
        };
        let key = Key::of(&located.record);
        let mut head = self.head_of(key, located, usize::from(waiting.target), reading);
        head.key.token_idx = first;
        head.n_tokens = waiting.n_tokens;
        head.is_rest = waiting.is_rest;
        Ok(Some(head))
    }

    /// What waits for a record at these positions, if anything does.
    pub(super) fn take_waiting(&mut self, wanted: &Head) -> Result<Option<Head>, Error> {
        if self.waiting.len() == 0 {
            return Ok(None);
        }
        let Some((first, waiting)) = self.waiting.take(wanted.lane(), &wanted.positions()) else {
            return Ok(None);
        };
        let head = self.read_again(first, waiting)?;
        if let Some(head) = head.filter(|head| head.has_lane_of(wanted)) {
            return Ok(Some(head));
        }
        // Two lanes of one fingerprint: this one has no partner, the other one goes on waiting.
        self.waiting.put(wanted.lane(), first, waiting);
        Ok(None)
    }

    pub(super) fn put_head_to_wait(&mut self) {
        if let Some(head) = self.head.take() {
            self.put_to_wait(&head, &head.positions());
        }
    }

    /// Lets what was not paired of a head wait: the positions before and after `paired`.
    pub(super) fn put_rest_to_wait(&mut self, head: &mut Head, paired: &Range<i64>) {
        head.is_rest = true;
        let all = head.positions();
        self.put_to_wait(head, &(all.start..paired.start));
        self.put_to_wait(head, &(paired.end..all.end));
    }

    fn put_to_wait(&mut self, head: &Head, positions: &Range<i64>) {
        let n_tokens = positions.end.saturating_sub(positions.start);
        if n_tokens > 0 {
            let waiting = Waiting {
                n_tokens: u32::try_from(n_tokens).unwrap_or(u32::MAX),
                target: head.target,
                is_rest: head.is_rest,
                offset_bytes: head.located.offset_bytes,
            };
            self.waiting.put(head.lane(), positions.start, waiting);
        }
    }

    pub(super) fn unpaired(&mut self) -> Result<Unpaired, Error> {
        let mut unpaired = Unpaired::default();
        for (first, waiting) in self.waiting.in_file_order() {
            if waiting.is_rest {
                unpaired.rests += 1;
                unpaired.rest_positions += u64::from(waiting.n_tokens);
                continue;
            }
            unpaired.records += 1;
            if unpaired.listed.len() < Unpaired::LISTED
                && let Some(head) = self.read_again(first, waiting)?
            {
                unpaired.listed.push(Key::of(&head.located.record));
            }
        }
        Ok(unpaired)
    }
}
