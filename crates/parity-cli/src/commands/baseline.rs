//! `parity baseline` and `parity gate`.

use super::compare::{compared_with, unwritable};
use crate::args::{BaselineCommand, BaselineSave, ColorWhen, Format, GateArgs};
use crate::failure::Failure;
use crate::{output, terminal};
use parity::Options;
use parity::baseline::{Baseline, gate};
use parity::exit_code;
use parity::trace::Trace;
use std::io::Write;

/// Saves a baseline.
pub(crate) fn run(command: &BaselineCommand, color: ColorWhen) -> Result<u8, Failure> {
    let BaselineCommand::Save(args) = command;
    save(args, color)
}

fn save(args: &BaselineSave, color: ColorWhen) -> Result<u8, Failure> {
    let (reference_map, candidate_map) = args.maps.choices()?;
    let options = Options {
        reference_map,
        candidate_map,
        ..Options::default()
    };
    let traces = std::iter::once(&args.reference).chain(&args.candidates);
    let inputs = traces.map(AsRef::as_ref).chain(args.model.path());
    output::is_no_input(&args.output, inputs)?;
    let reference = Trace::open(&args.reference)?;
    let mut reports = Vec::new();
    for path in &args.candidates {
        let candidate = Trace::open(path)?;
        reports.push(compared_with(
            &args.model,
            &reference,
            &candidate,
            &options,
        )?);
    }
    let baseline = Baseline::of(&reports).map_err(Failure::NotComparable)?;
    std::fs::write(&args.output, baseline.to_toml())
        .map_err(|error| unwritable(&args.output, &error))?;
    writeln!(
        terminal::stdout(color),
        "{} checkpoints, verdict {}: {}",
        baseline.checkpoints.len(),
        baseline.verdict,
        args.output.display()
    )?;
    Ok(exit_code::AGREES)
}

/// Holds a comparison against a baseline, and gives the exit code.
pub(crate) fn run_gate(args: &GateArgs, color: ColorWhen) -> Result<u8, Failure> {
    let (reference_map, candidate_map) = args.maps.choices()?;
    let options = Options {
        reference_map,
        candidate_map,
        ..Options::default()
    };
    let named = |error: &dyn std::fmt::Display| {
        Failure::message(format!(
            "baseline `{}`: {}; `parity baseline save` writes one",
            args.baseline.display(),
            error.to_string().trim_end()
        ))
    };
    let text = std::fs::read_to_string(&args.baseline).map_err(|error| named(&error))?;
    let baseline = Baseline::parse(&text).map_err(|error| named(&error))?;
    let (reference, candidate) = (Trace::open(&args.reference)?, Trace::open(&args.candidate)?);
    let report = compared_with(&args.model, &reference, &candidate, &options)?;
    let result = gate(&baseline, &report);
    let mut out = terminal::stdout(color);
    let text = match args.format {
        Format::Text => result.to_text(),
        Format::Json => serde_json::to_string_pretty(&result)? + "\n",
    };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Failure::unless_reader_left(written.map_err(Failure::from))?;
    Ok(result.exit_code)
}
