//! Arguments, terminal, exit codes.

mod args;
mod faults;
mod generate;
mod logits;
mod progress;
mod tokenize;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Exit code for wrong usage and unreadable input.
const UNUSABLE: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Generate(args) => generate::run(&args),
        Command::Tokenize(args) => tokenize::run(&args),
        Command::Faults => faults::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever reads our output has enough of it: `worker-orcd faults | head`.
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            {
                return ExitCode::SUCCESS;
            }
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Any error that ends the command.
type Failure = Box<dyn std::error::Error>;

/// A line that is no result: to stderr, where it does not matter whether it can be written.
fn warn(message: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "warning: {message}");
}
