//! `parity man`.

use crate::args::Args;
use crate::failure::Failure;
use clap::CommandFactory;
use parity::exit_code;
use std::io::Write;
use std::path::Path;

/// Prints the manual page, or writes that of every subcommand into a folder.
pub(crate) fn run(folder: Option<&Path>) -> Result<u8, Failure> {
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Args::command(), folder))
                .map_err(|error| {
                    Failure::message(format!(
                        "cannot write manual pages into `{}`: {error}",
                        folder.display()
                    ))
                })?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut page)?;
            std::io::stdout().lock().write_all(&page)?;
        }
    }
    Ok(exit_code::AGREES)
}
