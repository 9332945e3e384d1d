//! What can keep a comparison from being made at all.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Input that cannot be used.
///
/// What is merely wrong *inside* a trace (a malformed line, a payload that is too short) is a
/// [`Finding`](crate::check::Finding) of the report, not an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A trace could not be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// Files beside it that look like what was meant.
        similar: Vec<PathBuf>,
        /// What the system said.
        source: io::Error,
    },
    /// A trace or a payload could not be read to its end.
    Read {
        /// The file.
        path: PathBuf,
        /// Where reading failed.
        offset_bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A trace could not be written.
    WriteTrace {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The report could not be written.
    Write {
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// True where the reader of the output went away (`parity compare … | head`).
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open {
                path,
                similar,
                source,
            } => {
                write!(f, "cannot open trace `{}`: {source}", path.display())?;
                for (count, path) in similar.iter().enumerate() {
                    let lead = if count == 0 { "; did you mean" } else { " or" };
                    write!(f, "{lead} `{}`", path.display())?;
                }
                if similar.is_empty() {
                    Ok(())
                } else {
                    f.write_str("?")
                }
            }
            Self::Read {
                path, offset_bytes, ..
            } => {
                write!(f, "cannot read `{}` at byte {offset_bytes}", path.display())
            }
            Self::WriteTrace { path, .. } => write!(f, "cannot write trace `{}`", path.display()),
            Self::Write { .. } => f.write_str("cannot write the report"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The cause stands in the sentence, before the file that may have been meant.
            Self::Open { .. } => None,
            Self::Read { source, .. }
            | Self::WriteTrace { source, .. }
            | Self::Write { source } => Some(source),
        }
    }
}
