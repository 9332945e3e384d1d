//! What makes two records a pair.

use orch_log::format::Record;
use std::fmt;

/// Two records are a pair when their keys are equal, or differ in the position only and cover a common one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Absolute 0-based position of the first token.
    pub token_idx: i64,
    /// Sequence in a batch.
    pub seq: u64,
    /// How many records of this name the step already had.
    pub occurrence: u64,
    /// Process of a tensor-parallel run; 0 where there is only one.
    pub rank: u64,
}

impl Key {
    /// The key of a record.
    pub fn of(record: &Record) -> Self {
        Self {
            checkpoint: record.checkpoint.clone(),
            token_idx: record.token_idx,
            seq: record.seq,
            occurrence: record.occurrence,
            rank: rank_of(record),
        }
    }
}

/// The process of a tensor-parallel run; 0 where there is only one.
pub(crate) fn rank_of(record: &Record) -> u64 {
    record
        .rank
        .or(record.shard.map(|shard| shard.rank))
        .unwrap_or(0)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` at position {}",
            self.checkpoint.escape_debug(),
            self.token_idx
        )?;
        for (name, number) in [
            ("sequence", self.seq),
            ("occurrence", self.occurrence),
            ("rank", self.rank),
        ] {
            if number != 0 {
                write!(f, ", {name} {number}")?;
            }
        }
        Ok(())
    }
}
