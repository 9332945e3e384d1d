//! `parity compare` with several candidates.

use super::compare::{created, options, unwritable};
use crate::args::{ColorWhen, Compare, ReportFormat};
use crate::failure::Failure;
use crate::{progress, terminal};
use parity::report::{Json, Junit, Markdown, RenderMany};
use parity::trace::Trace;
use parity::{compare, many};
use std::io::Write;

/// Compares each candidate with the reference, writes one table, and gives the exit code of the worst.
pub(crate) fn run(args: &Compare, color: ColorWhen) -> Result<u8, Failure> {
    // Before the work, not after it.
    let form = form(args.format)?;
    let reference = Trace::open(&args.reference)?;
    let paths = std::iter::once(&args.candidate).chain(&args.more);
    let candidates = paths.map(Trace::open).collect::<Result<Vec<_>, _>>()?;
    let file = created(args)?;

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

    let mut text = Vec::new();
    match form {
        Some(form) => form.render_many(&result, &mut text)?,
        None => text.extend(result.table().into_bytes()),
    }
    match file {
        Some((mut file, path)) => file
            .write_all(&text)
            .map_err(|error| unwritable(path, &error))?,
        None => {
            let mut out = terminal::stdout(color);
            let written = out.write_all(&text).and_then(|()| out.flush());
            Failure::unless_reader_left(written.map_err(Failure::from))?;
        }
    }
    Ok(result.exit_code)
}

/// What writes this form; nothing for text, which the result writes itself.
fn form(format: ReportFormat) -> Result<Option<&'static dyn RenderMany>, Failure> {
    let one_by_one = |name: &str, what: &str| {
        Err(Failure::message(format!(
            "{what} shows one candidate: compare them one by one with `--format {name}`, \
             or all at once as text, markdown, junit or json"
        )))
    };
    match format {
        ReportFormat::Text => Ok(None),
        ReportFormat::Json => Ok(Some(&Json)),
        ReportFormat::Markdown => Ok(Some(&Markdown)),
        ReportFormat::Junit => Ok(Some(&Junit)),
        ReportFormat::Html => one_by_one("html", "a page"),
        ReportFormat::Csv => one_by_one("csv", "a table"),
        #[cfg(feature = "parquet")]
        ReportFormat::Parquet => one_by_one("parquet", "a table"),
    }
}
