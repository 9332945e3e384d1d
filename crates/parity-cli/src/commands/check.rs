//! `parity check`.

use crate::args::{Check, ColorWhen, Format};
use crate::failure::Failure;
use crate::{progress, terminal};
use parity::check::soundness::{check_trace, render_json, render_text};
use parity::exit_code;
use parity::trace::Trace;
use std::io::Write;

/// Checks one trace, writes what was found, and gives the exit code.
pub(crate) fn run(args: &Check, color: ColorWhen) -> Result<u8, Failure> {
    let trace = Trace::open(&args.trace)?;
    let bar = progress::bytes("checking", trace.len_bytes());
    let report = check_trace(&trace, &mut |read_bytes| bar.set_position(read_bytes));
    bar.finish_and_clear();
    let report = report?;

    let text = match args.format {
        Format::Text => render_text(&report),
        Format::Json => render_json(&report),
    };
    let mut out = terminal::stdout(color);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(if report.damaged {
        exit_code::NOT_COMPARABLE
    } else {
        exit_code::AGREES
    })
}
