//! `parity compare`.

use super::many;
use crate::args::{ColorWhen, Compare, ReportFormat};
use crate::failure::Failure;
use crate::{progress, terminal};
use orch_log::Filter;
use parity::judge::Criterion;
use parity::report::{Csv, Html, Json, Junit, Markdown, Render, Text, v1::Report};
use parity::trace::Trace;
use parity::{Options, compare};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Compares, writes the report, and gives the verdict's exit code.
pub(crate) fn run(args: &Compare, color: ColorWhen) -> Result<u8, Failure> {
    if !args.more.is_empty() {
        return many::run(args, color);
    }
    let reference = Trace::open(&args.reference)?;
    let candidate = Trace::open(&args.candidate)?;
    let options = options(args)?;
    // Before the work, not after it.
    let file = args.output.as_deref().map(create).transpose()?;

    let bar = progress::bytes("comparing", reference.len_bytes() + candidate.len_bytes());
    let report = compare(&reference, &candidate, &options, &mut |progress| {
        bar.set_position(progress.read_bytes);
    });
    bar.finish_and_clear();
    let report = report?;

    let code = report.exit_code;
    match file {
        Some((file, path)) => {
            let mut out = BufWriter::new(file);
            render(args, &report, color == ColorWhen::Always, &mut out)
                .and_then(|()| out.flush())
                .map_err(|error| unwritable(path, &error))?;
        }
        None => {
            let mut out = terminal::stdout(color);
            render(args, &report, true, &mut out)?;
            out.flush()?;
        }
    }
    Ok(code)
}

/// Of how many checkpoints a page holds the histograms: all of a model of 40 layers.
const INSPECTED: usize = 700;

pub(super) fn options(args: &Compare) -> Result<Options, Failure> {
    let (reference_map, candidate_map) = args.maps.choices()?;
    Ok(Options {
        filter: Filter::new(&args.checkpoint.join(",")),
        criterion: match (args.threshold, args.bands) {
            (Some(limit), _) => Criterion::MaxNmse(limit),
            (None, true) => Criterion::Bands,
            (None, false) => Criterion::Noise,
        },
        top: args.top,
        token_offset: args.token_offset,
        min_coverage: args.min_coverage,
        reference_map,
        candidate_map,
        cells: args.format.shows_pairs(),
        inspect: if args.format == ReportFormat::Html {
            INSPECTED
        } else {
            0
        },
    })
}

fn render(
    args: &Compare,
    report: &Report,
    color: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match args.format {
        ReportFormat::Json => Json.render(report, out),
        ReportFormat::Html => Html::FILE.render(report, out),
        ReportFormat::Markdown => Markdown.render(report, out),
        ReportFormat::Junit => Junit.render(report, out),
        ReportFormat::Csv => Csv.render(report, out),
        ReportFormat::Text => Text {
            color,
            unicode: terminal::unicode(),
            verbose: args.verbose,
        }
        .render(report, out),
    }
}

pub(super) fn create(path: &Path) -> Result<(File, &Path), Failure> {
    match File::create(path) {
        Ok(file) => Ok((file, path)),
        Err(error) => Err(unwritable(path, &error)),
    }
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!(
        "cannot write the report to `{}`: {error}",
        path.display()
    ))
}
