//! Where a stream's lines come from: read when they are wanted, or ahead by a thread that also checks them.

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
    /// Read ahead by a thread that tells, when all have passed, what is wrong with the trace.
    Ahead(ReadAhead, Receiver<Vec<Finding>>),
}

impl<'t> Input<'t> {
    /// Lets a thread of `scope` read what is left.
    pub(super) fn read_ahead<'scope>(&mut self, trace: &'t Trace, scope: &'scope Scope<'scope, '_>)
    where
        't: 'scope,
    {
        let (batches, ahead) = ReadAhead::channel(self.offset_bytes());
        let (findings, found) = sync_channel(1);
        let Self::Here(records) = std::mem::replace(self, Self::Ahead(ahead, found)) else {
            return;
        };
        scope.spawn(move || {
            let mut soundness = Soundness::of(trace);
            if batches.send_all(records, |entry| soundness.observe_entry(entry)) {
                // Whoever stopped listening does not want to know.
                let _ = findings.send(soundness.finish());
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

    /// What is wrong with the trace; nothing where nobody looked, or not to its end.
    pub(super) fn finish(self) -> Vec<Finding> {
        match self {
            Self::Here(_) => Vec::new(),
            Self::Ahead(ahead, found) => {
                // A thread that waits for room to send would wait for ever.
                drop(ahead);
                found.recv().unwrap_or_default()
            }
        }
    }
}
