//! Errors on their way to the terminal.

use crate::args::ColorWhen;
use crate::terminal;
use parity::exit_code;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Why the command could not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of our output went away: not worth a word.
    BrokenPipe,
    /// There is nothing to measure: what these traces hold cannot be compared.
    NotComparable(String),
    /// Anything else.
    Other(Box<dyn Error>),
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        if is_broken_pipe(&error) {
            Self::BrokenPipe
        } else {
            Self::Other(Box::new(error))
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::BrokenPipe
        {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Failure {
    /// A failure that is only a sentence.
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self::Other(message.into().into())
    }

    /// Says on stderr what went wrong, with its causes, and gives the exit code.
    pub(crate) fn report(&self, color: ColorWhen) -> ExitCode {
        match self {
            Self::BrokenPipe => ExitCode::from(exit_code::AGREES),
            Self::NotComparable(reason) => {
                tell(color, reason);
                ExitCode::from(exit_code::NOT_COMPARABLE)
            }
            Self::Other(error) => {
                let mut text = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    // Some errors have their cause in their own sentence.
                    let cause_text = error.to_string();
                    if !text.contains(&cause_text) {
                        text = format!("{text}: {cause_text}");
                    }
                    cause = error.source();
                }
                tell(color, text.trim_end());
                ExitCode::from(exit_code::UNUSABLE_INPUT)
            }
        }
    }

    /// A verdict is the same when its reader had seen enough (`parity compare … | head`): the exit code is still to be told.
    pub(crate) fn unless_reader_left(written: Result<(), Self>) -> Result<(), Self> {
        match written {
            Err(Self::BrokenPipe) => Ok(()),
            other => other,
        }
    }
}

fn tell(color: ColorWhen, text: &str) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    // Without stderr there is nobody to tell.
    let _ = writeln!(terminal::stderr(color), "{red}error:{red:#} {text}");
}
