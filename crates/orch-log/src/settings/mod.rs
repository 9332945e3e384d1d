//! What is logged, how much of it, and where to.

mod env;
mod filter;
mod size;
mod tokens;

pub use env::Problem;
pub use filter::Filter;
pub use tokens::TokenSet;

use std::path::PathBuf;

/// How many of a tensor's first elements a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// At most this many.
    First(usize),
    /// All of them.
    All,
}

impl Values {
    /// Elements written out of `len`.
    pub fn of(self, len: usize) -> usize {
        match self {
            Self::First(n) => n.min(len),
            Self::All => len,
        }
    }
}

/// How much a record says about the elements that it does not write out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The first values only.
    Values,
    /// Also statistics and a sketch over all elements.
    Stats,
    /// Also all elements, in a payload file.
    Full,
}

/// Settings of a [`Recorder`](crate::Recorder), each with its default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The trace, `NAME.jsonl`. `ORCH_LOG_FILE`.
    pub path: PathBuf,
    /// Who logs. `ORCH_LOG_TEAM`; default the program's name.
    pub team: String,
    /// `ORCH_LOG_VALUES`: a count, `0` or `all`; default 10.
    pub values: Values,
    /// `ORCH_LOG_DETAIL`: `values`, `stats` or `full`; default `stats`.
    pub detail: Detail,
    /// `ORCH_LOG_FILTER`: globs separated by commas, `!` negates; default everything.
    pub filter: Filter,
    /// `ORCH_LOG_TOKENS`: positions such as `0-3,7`; default all.
    pub tokens: TokenSet,
    /// `ORCH_LOG_MAX_BYTES`: trace and payload bytes that this recorder may write, for example `2G`;
    /// default no limit.
    pub max_bytes: Option<u64>,
    /// `ORCH_LOG_BUFFER`: bytes held back in memory per thread, for example `64K`; default none, so
    /// that a record survives `kill -9` as soon as its call has returned.
    ///
    /// With a buffer, up to that many bytes of every thread are lost by `kill -9`, `abort`, `_exit` and `exec`, and
    /// at a usual `exit` those of threads that are still running. A thread that ends writes out what
    /// it holds back for the global trace; [`flush_logs`](crate::flush_logs) and dropping a recorder write
    /// out everything.
    pub buffer: Option<usize>,
    /// `ORCH_LOG_TS=1`: write `ts_ns`, nanoseconds since 1970; default off, to keep records small.
    pub timestamps: bool,
}

impl Settings {
    /// The default number of values in a record.
    pub const DEFAULT_VALUES: Values = Values::First(10);

    /// A trace at `path` by `team`, everything else as by default.
    pub fn new(path: impl Into<PathBuf>, team: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            team: team.into(),
            values: Self::DEFAULT_VALUES,
            detail: Detail::Stats,
            filter: Filter::default(),
            tokens: TokenSet::default(),
            max_bytes: None,
            buffer: None,
            timestamps: false,
        }
    }
}
