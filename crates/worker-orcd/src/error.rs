//! What can go wrong in this crate, each message naming the file or value and the way out.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine: what was being done, to which file or value, and what helps.
#[derive(Debug)]
pub enum Error {
    /// A file that could not be opened or read.
    Io {
        /// What was being done: `open the model`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that is not a usable GGUF.
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what helps.
        problem: String,
    },
    /// A model whose architecture the engine does not run.
    UnsupportedArchitecture {
        /// The file.
        path: PathBuf,
        /// Its `general.architecture`.
        found: String,
        /// What the engine runs.
        supported: Vec<&'static str>,
    },
    /// A tokenizer that the engine cannot build.
    Tokenizer(String),
    /// Tokens to be forced that cannot be used.
    ForcedTokens(String),
    /// A planted fault that does not exist or does not fit.
    Fault(String),
    /// A setting whose value cannot be used.
    Setting(String),
    /// A tensor operation that failed.
    Compute {
        /// What was being computed: `forward pass 3`.
        what: String,
        /// candle's error.
        source: candle_core::Error,
    },
}

impl Error {
    pub(crate) fn gguf(path: &Path, problem: impl fmt::Display) -> Self {
        Self::Gguf {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// Wraps candle's error with what was being computed.
    pub(crate) fn compute(what: impl fmt::Display) -> impl FnOnce(candle_core::Error) -> Self {
        move |source| Self::Compute {
            what: what.to_string(),
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                action,
                path,
                source,
            } => {
                write!(f, "cannot {action} `{}`: {source}", path.display())
            }
            Self::Gguf { path, problem } => write!(f, "`{}`: {problem}", path.display()),
            Self::UnsupportedArchitecture {
                path,
                found,
                supported,
            } => write!(
                f,
                "`{}`: architecture `{found}` is not supported; worker-orcd runs {}",
                path.display(),
                supported.join(", "),
            ),
            Self::Tokenizer(problem)
            | Self::ForcedTokens(problem)
            | Self::Fault(problem)
            | Self::Setting(problem) => f.write_str(problem),
            Self::Compute { what, source } => write!(f, "{what} failed: {}", plain(source)),
        }
    }
}

/// candle's error without the backtrace that it carries into its text when `RUST_BACKTRACE` is set.
pub(crate) fn plain(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => plain(inner),
        other => other.to_string(),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Compute { source, .. } => Some(source),
            _ => None,
        }
    }
}
