//! Where a stream's lines come from: read when they are wanted, or ahead by a thread that also checks them.

use crate::check::Survey;
use crate::check::soundness::{Finding, Soundness};
use crate::error::Error;
use crate::trace::{Entry, Located, ReadAhead, Records, Trace};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

/// The entries of one trace.
pub(super) enum Input<'t> {
    /// Read when they are wanted.
    Here(Records<'t>),
    /// Read ahead by a thread that tells, when all have passed, what it saw.
    Ahead(ReadAhead, Receiver<Seen>),
}

/// What a thread that reads ahead tells.
#[derive(Default)]
pub(super) struct Seen {
    /// What is wrong with the trace.
    pub(super) findings: Vec<Finding>,
    /// What was seen of it, where that was asked for.
    pub(super) survey: Option<Survey>,
}

impl<'t> Input<'t> {
    /// Lets a thread of `scope` read what is left, and survey it, where a `survey` is given: then only records that take part
    /// in a comparison come through.
    pub(super) fn read_ahead<'scope>(
        &mut self,
        trace: &'t Trace,
        mut survey: Option<Survey>,
        scope: &'scope Scope<'scope, '_>,
    ) where
        't: 'scope,
    {
        let (batches, ahead) = ReadAhead::channel(self.offset_bytes());
        let (seen, found) = sync_channel(1);
        let Self::Here(records) = std::mem::replace(self, Self::Ahead(ahead, found)) else {
            return;
        };
        scope.spawn(move || {
            let mut soundness = Soundness::of(trace);
            let wanted = |entry: &Entry| {
                soundness.observe_entry(entry);
                survey
                    .as_mut()
                    .is_none_or(|survey| survey.observe_entry(entry))
            };
            if batches.send_all(records, wanted) {
                // Whoever stopped listening does not want to know.
                let _ = seen.send(Seen {
                    findings: soundness.finish(),
                    survey,
                });
            }
        });
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read further.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Error> {
        match self {
            Self::Here(records) => records.next(),
            Self::Ahead(ahead, _) => ahead.next(),
        }
    }

    /// Takes back a record that has been dealt with.
    pub(super) fn give_back(&mut self, located: Arc<Located>) {
        if let Self::Ahead(ahead, _) = self {
            ahead.give_back(located);
        }
    }

    /// Bytes of what was given out, to the nearest batch.
    pub(super) fn offset_bytes(&self) -> u64 {
        match self {
            Self::Here(records) => records.offset_bytes(),
            Self::Ahead(ahead, _) => ahead.offset_bytes(),
        }
    }

    /// What was seen of the trace; nothing where nobody looked, or not to its end.
    pub(super) fn finish(self) -> Seen {
        match self {
            Self::Here(_) => Seen::default(),
            Self::Ahead(ahead, found) => {
                // A thread that waits for room to send would wait for ever.
                drop(ahead);
                found.recv().unwrap_or_default()
            }
        }
    }
}
