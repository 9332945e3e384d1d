//! `parity compare` with several candidates.

use super::compare::{create, options, unwritable};
use crate::args::{ColorWhen, Compare, ReportFormat};
use crate::failure::Failure;
use crate::{progress, terminal};
use parity::report::v1::Many;
use parity::trace::Trace;
use parity::{compare, many};
use std::io::Write;
use std::path::Path;

/// Compares each candidate with the reference, writes one table, and gives the exit code of the worst.
pub(crate) fn run(args: &Compare, color: ColorWhen) -> Result<u8, Failure> {
    let reference = Trace::open(&args.reference)?;
    let paths = std::iter::once(&args.candidate).chain(&args.more);
    let candidates = paths.map(Trace::open).collect::<Result<Vec<_>, _>>()?;
    let file = args.output.as_deref().map(create).transpose()?;

    let total = candidates
        .iter()
        .map(|candidate| candidate.len_bytes() + reference.len_bytes())
        .sum();
    let bar = progress::bytes("comparing", total);
    let (mut reports, mut done) = (Vec::new(), 0);
    for candidate in &candidates {
        let report = compare(&reference, candidate, &options(args)?, &mut |progress| {
            bar.set_position(done + progress.read_bytes);
        });
        done += candidate.len_bytes() + reference.len_bytes();
        reports.push(report);
    }
    bar.finish_and_clear();
    let result = many(reports.into_iter().collect::<Result<Vec<_>, _>>()?);

    let text = rendered(args, &result)?;
    match file {
        Some((mut file, path)) => write(&mut file, &text, path)?,
        None => {
            let mut out = terminal::stdout(color);
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
    }
    Ok(result.exit_code)
}

fn rendered(args: &Compare, result: &Many) -> Result<String, Failure> {
    Ok(match args.format {
        ReportFormat::Json => serde_json::to_string_pretty(result)? + "\n",
        ReportFormat::Text => result.table(),
        ReportFormat::Html | ReportFormat::Markdown | ReportFormat::Junit | ReportFormat::Csv => {
            return Err(Failure::message(
                "this form shows one candidate: compare them one by one, or use `--format json`",
            ));
        }
    })
}

fn write(file: &mut std::fs::File, text: &str, path: &Path) -> Result<(), Failure> {
    file.write_all(text.as_bytes())
        .map_err(|error| unwritable(path, &error))
}
