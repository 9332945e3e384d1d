//! `parity capture -- PROGRAM`.

use super::capture::note;
use crate::args::{CaptureProgram, ColorWhen, DetailArg};
use crate::failure::Failure;
use crate::program::{self, Request};
use orch_log::Values;
use std::ffi::OsString;

/// Runs the program and gives its exit code. Ctrl-C is for the program; this command outlives it.
pub(crate) fn run(args: &CaptureProgram, color: ColorWhen) -> Result<u8, Failure> {
    let request = request(args)?;
    ctrlc::set_handler(|| ())?;
    let outcome = program::run(&request).map_err(Failure::message)?;
    for problem in &outcome.problems {
        note(color, problem);
    }
    match outcome.nothing {
        Some(reason) if outcome.exit_code == 0 => return Err(Failure::message(reason)),
        Some(reason) => note(color, &reason),
        None => {
            let traces: Vec<String> = outcome
                .traces
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            note(color, &format!("captured {}", traces.join(", ")));
        }
    }
    Ok(outcome.exit_code)
}

fn request(args: &CaptureProgram) -> Result<Request, Failure> {
    let (Some((program, arguments)), Some(output)) = (args.command.split_first(), &args.output)
    else {
        return Err(Failure::message(
            "nothing to capture: `parity capture llama …`, or `parity capture -o FILE -- PROGRAM …`",
        ));
    };
    let values = match args.values {
        Values::All => "all".to_owned(),
        Values::First(count) => count.to_string(),
    };
    let detail = match args.detail {
        DetailArg::Values => "values",
        DetailArg::Stats => "stats",
        DetailArg::Full => "full",
    };
    let mut settings: Vec<(&str, OsString)> = vec![
        ("ORCH_LOG_TEAM", (&args.team).into()),
        ("ORCH_LOG_VALUES", values.into()),
        ("ORCH_LOG_DETAIL", detail.into()),
    ];
    if !args.checkpoint.is_empty() {
        settings.push(("ORCH_LOG_FILTER", args.checkpoint.join(",").into()));
    }
    Ok(Request {
        program: program.clone(),
        arguments: arguments.to_vec(),
        output: output.clone(),
        settings,
        all: args.all,
        warm_up: args.warm_up,
    })
}
