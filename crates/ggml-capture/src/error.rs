//! What can go wrong between a model file and a trace.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use orch_log::forced::ForcedError;

/// An error of this crate. Its text is a lowercase fragment that fits "failed to capture: …".
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    Io {
        /// What was attempted, `read model`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// llama.cpp refused something; its own words are kept.
    Llama {
        /// What was attempted.
        action: String,
        /// What llama.cpp logged meanwhile, its error lines first.
        log: Vec<String>,
    },
    /// The file is not a model that can be used.
    Model {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        message: String,
    },
    /// The tokens to force could not be read.
    Forced(ForcedError),
    /// An argument makes no sense; the message names it and the way out.
    Argument(String),
    /// The caller asked to stop. What was logged until then is valid.
    Cancelled,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// True when the caller's cancel flag ended the run.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                action,
                path,
                source,
            } => write!(f, "cannot {action} `{}`: {source}", path.display()),
            Self::Llama { action, log } => {
                write!(f, "llama.cpp could not {action}")?;
                for (index, line) in log.iter().enumerate() {
                    write!(f, "{}{line}", if index == 0 { ": " } else { "; " })?;
                }
                Ok(())
            }
            Self::Model { path, message } => write!(f, "model `{}`: {message}", path.display()),
            Self::Forced(error) => error.fmt(f),
            Self::Argument(message) => f.write_str(message),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Forced(error) => error.source(),
            _ => None,
        }
    }
}

impl From<ForcedError> for Error {
    fn from(error: ForcedError) -> Self {
        Self::Forced(error)
    }
}
