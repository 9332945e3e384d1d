//! Token ids of a trace, for detectors that must know whether two positions had the same token.

use orch_log::format::{Record, TOKENS};
use std::collections::HashMap;

/// Ids by sequence and position.
#[derive(Debug, Default)]
pub(super) struct TokenIds {
    ids: HashMap<(u64, i64), i64>,
}

impl TokenIds {
    /// Positions that are remembered: 24 MB; further ones count as unknown.
    const MAX: usize = 1 << 20;

    /// Takes in the ids of a `tokens` record; other records are passed over.
    pub(super) fn observe(&mut self, record: &Record) {
        if record.checkpoint != TOKENS {
            return;
        }
        for (offset, id) in (0_i64..).zip(&record.values) {
            let Some(position) = record.token_idx.checked_add(offset) else {
                return;
            };
            if self.ids.len() >= Self::MAX {
                return;
            }
            self.ids.insert((record.seq, position), *id as i64);
        }
    }

    /// The id at a position.
    pub(super) fn id(&self, seq: u64, position: i64) -> Option<i64> {
        self.ids.get(&(seq, position)).copied()
    }
}
