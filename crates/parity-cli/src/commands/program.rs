//! `parity capture -- PROGRAM`.

use super::capture::note;
use crate::args::{CaptureProgram, ColorWhen, DetailArg};
use crate::failure::Failure;
use crate::program::{self, Request};
use crate::progress;
use orch_log::Values;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the program and gives its exit code. Ctrl-C is for the program; this command outlives it.
pub(crate) fn run(args: &CaptureProgram, color: ColorWhen) -> Result<u8, Failure> {
    let request = request(args)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let outcome = program::run(&request, &mut |model| checksum(model, &interrupted))
        .map_err(Failure::message)?;
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

/// SHA-256 of the model; a Ctrl-C, which the program got too, leaves it out.
fn checksum(model: &Path, interrupted: &AtomicBool) -> Result<String, String> {
    let lacks = |reason: &dyn std::fmt::Display| {
        format!("the run file lacks the model's checksum: {reason}")
    };
    if interrupted.load(Ordering::Relaxed) {
        return Err(lacks(&"interrupted"));
    }
    let bar = progress::percent("checksum", 1000);
    let sum = ggml_capture::sha256(model, &mut |fraction| {
        bar.set_position((1000.0 * fraction) as u64);
        !interrupted.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    sum.map_err(|error| lacks(&error))
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
