//! The command `worker-orcd`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
