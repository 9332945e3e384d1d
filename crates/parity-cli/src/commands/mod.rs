//! What the command does.

mod align;
mod baseline;
mod calibrate;
#[cfg(feature = "llama")]
mod capture;
mod check;
mod compare;
mod doctor;
mod explain;
mod man;
mod many;
mod merge;
#[cfg(feature = "llama")]
mod models;
#[cfg(feature = "llama")]
mod program;
#[cfg(feature = "llama")]
mod verify;
mod view;
mod vote;
mod watch;

use crate::args::{Args, Command};
use crate::failure::Failure;
use clap::CommandFactory;
use parity::exit_code;
use std::io::Write;

/// Runs the command and gives its exit code.
pub(crate) fn run(args: Args) -> Result<u8, Failure> {
    match args.command {
        Command::Compare(compare) => compare::run(&compare, args.color),
        Command::Calibrate(calibrate) => calibrate::run(&calibrate),
        Command::Align(align) => align::run(&align, args.color),
        Command::Vote(vote) => vote::run(&vote, args.color),
        Command::Merge(merge) => merge::run(&merge, args.color),
        Command::View(view) => view::run(&view, args.color),
        Command::Baseline(command) => baseline::run(&command, args.color),
        Command::Gate(gate) => baseline::run_gate(&gate, args.color),
        Command::Schema => {
            let schema = parity::report::schema();
            std::io::stdout().lock().write_all(schema.as_bytes())?;
            Ok(exit_code::AGREES)
        }
        Command::Man { folder } => man::run(folder.as_deref()),
        Command::Check(check) => check::run(&check, args.color),
        #[cfg(feature = "llama")]
        Command::Verify(verify) => verify::run(&verify, args.color),
        Command::Explain(explain) => explain::run(&explain, args.color),
        Command::Doctor(doctor) => doctor::run(&doctor, args.color),
        #[cfg(feature = "llama")]
        Command::Capture(capture) => capture::run(capture, args.color),
        #[cfg(feature = "llama")]
        Command::Models(models) => models::run(models),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "parity", &mut script);
            std::io::stdout().lock().write_all(&script)?;
            Ok(exit_code::AGREES)
        }
    }
}
