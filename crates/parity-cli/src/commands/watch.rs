//! `parity compare --watch`.

use super::compare::once;
use crate::args::{ColorWhen, Compare};
use crate::failure::Failure;
use crate::terminal;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// Compares whenever a trace has grown, until the process is interrupted or nobody reads on.
///
/// # Errors
///
/// When the report cannot be written. A trace that is not there yet is waited for.
pub(crate) fn run(args: &Compare, color: ColorWhen, seconds: f64) -> Result<u8, Failure> {
    let mut seen = None;
    loop {
        let now = [&args.reference, &args.candidate].map(|path| length(path));
        if seen != Some(now) {
            seen = Some(now);
            if std::io::stdout().is_terminal() && args.output.is_none() {
                let mut out = terminal::stdout(color);
                // Clears the screen and goes to its first line.
                out.write_all(b"\x1b[2J\x1b[H")?;
                out.flush()?;
            }
            if now.iter().all(Option::is_some) {
                once(args, color)?;
            } else {
                let mut err = terminal::stderr(color);
                writeln!(err, "waiting for both traces")?;
            }
        }
        std::thread::sleep(Duration::from_secs_f64(seconds));
    }
}

fn length(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.len())
}
