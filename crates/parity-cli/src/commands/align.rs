//! `parity align`.

use crate::args::{Align, ColorWhen};
use crate::failure::Failure;
use crate::terminal;
use parity::align::{Profile, propose};
use parity::exit_code;
use parity::trace::Trace;
use std::io::Write;

/// Writes the pairing or a proposal, and gives the exit code.
pub(crate) fn run(args: &Align, color: ColorWhen) -> Result<u8, Failure> {
    let reference = Trace::open(&args.reference)?;
    let candidate = Trace::open(&args.candidate)?;
    let ours = Profile::of(&reference, 0)?;
    let theirs = Profile::of(&candidate, args.token_offset)?;
    let proposal = propose(&ours, &theirs);
    let mut out = terminal::stdout(color);
    out.write_all(proposal.to_toml(args.sure).as_bytes())?;
    out.flush()?;
    Ok(if proposal.pairs.is_empty() {
        exit_code::NOT_COMPARABLE
    } else {
        exit_code::AGREES
    })
}
