//! `parity align`.

use crate::args::{Align, ColorWhen, Format};
use crate::failure::Failure;
use crate::{progress, terminal};
use orch_log::Filter;
use parity::align::{Profile, propose};
use parity::trace::Trace;
use parity::{Options, exit_code, pairing};
use std::io::Write;

/// Writes the pairing or a proposal, and gives the exit code.
pub(crate) fn run(args: &Align, color: ColorWhen) -> Result<u8, Failure> {
    let reference = Trace::open(&args.reference)?;
    let candidate = Trace::open(&args.candidate)?;
    let (text, code) = if args.propose {
        proposal(args, &reference, &candidate)?
    } else {
        paired(args, &reference, &candidate)?
    };
    let mut out = terminal::stdout(color);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(code)
}

fn proposal(args: &Align, reference: &Trace, candidate: &Trace) -> Result<(String, u8), Failure> {
    let ours = Profile::of(reference, 0)?;
    let theirs = Profile::of(candidate, args.token_offset)?;
    let proposal = propose(&ours, &theirs);
    let code = if proposal.pairs.is_empty() {
        exit_code::NOT_COMPARABLE
    } else {
        exit_code::AGREES
    };
    Ok((proposal.to_toml(args.sure), code))
}

fn paired(args: &Align, reference: &Trace, candidate: &Trace) -> Result<(String, u8), Failure> {
    let (reference_map, candidate_map) = args.maps.choices()?;
    let options = Options {
        filter: Filter::new(&args.checkpoint.join(",")),
        token_offset: Some(args.token_offset),
        reference_map,
        candidate_map,
        ..Options::default()
    };
    let bar = progress::bytes("aligning", reference.len_bytes() + candidate.len_bytes());
    let result = pairing(reference, candidate, &options, &mut |progress| {
        bar.set_position(progress.read_bytes);
    });
    bar.finish_and_clear();
    let result = result?;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&result)? + "\n",
        Format::Text => result.text(args.verbose),
    };
    Ok((text, result.exit_code))
}
