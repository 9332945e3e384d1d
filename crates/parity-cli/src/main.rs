//! The command `parity`.

mod args;
mod commands;
mod failure;
#[cfg(feature = "llama")]
mod model;
mod output;
#[cfg(feature = "llama")]
mod program;
mod progress;
mod terminal;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let color = args.color;
    match commands::run(args) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(color),
    }
}
