//! `parity compare`.

use super::{many, watch};
use crate::args::{ColorWhen, Compare, ModelFile, ReportFormat};
use crate::failure::Failure;
#[cfg(feature = "llama")]
use crate::model::Model;
use crate::{output, progress, terminal};
use orch_log::Filter;
use parity::judge::{Calibration, Criterion, Tolerances};
use parity::recompute::Weights;
#[cfg(feature = "parquet")]
use parity::report::Parquet;
use parity::report::{Csv, Html, Json, Junit, Markdown, Render, Screen, Text, v1::Report};
use parity::trace::Trace;
use parity::{Options, compare_with_model};
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

/// Compares, writes the report, and gives the verdict's exit code.
pub(crate) fn run(args: &Compare, color: ColorWhen) -> Result<u8, Failure> {
    if args.format.is_binary() && args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::message(
            "Parquet is binary and this is a terminal: name a file with `-o`, or use `--format csv`",
        ));
    }
    match (args.more.is_empty(), args.watch) {
        (false, None) => many::run(args, color),
        (true, None) => once(args, color),
        (true, Some(seconds)) => watch::run(args, color, seconds),
        (false, Some(_)) => Err(Failure::message("`--watch` takes one candidate")),
    }
}

/// One comparison of the traces as they are now.
pub(super) fn once(args: &Compare, color: ColorWhen) -> Result<u8, Failure> {
    let reference = Trace::open(&args.reference)?;
    let candidate = Trace::open(&args.candidate)?;
    let options = options(args)?;
    // Before the work, not after it.
    let file = created(args)?;
    let report = compared_with(&args.model, &reference, &candidate, &options)?;
    let code = report.exit_code;
    match file {
        Some((file, path)) => {
            let mut out = BufWriter::new(file);
            render(args, &report, color == ColorWhen::Always, &mut out)
                .and_then(|()| out.flush())
                .map_err(|error| unwritable(path, &error))?;
        }
        // What drops colours would drop bytes that look like them.
        None if args.format.is_binary() => {
            let mut out = std::io::stdout().lock();
            let written = render(args, &report, false, &mut out).and_then(|()| out.flush());
            Failure::unless_reader_left(written.map_err(Failure::from))?;
        }
        None => {
            let mut out = terminal::stdout(color);
            let written = render(args, &report, true, &mut out).and_then(|()| out.flush());
            Failure::unless_reader_left(written.map_err(Failure::from))?;
        }
    }
    if report.coverage.pairs == report.coverage.token_pairs && !args.checkpoint.is_empty() {
        let globs = args.checkpoint.join("`, `");
        // Without stderr there is nobody to tell.
        let _ = writeln!(
            terminal::stderr(color),
            "note: no checkpoint of both traces passes `--checkpoint`: `{globs}`"
        );
    }
    Ok(code)
}

/// A comparison with its progress on stderr.
pub(super) fn compared(
    reference: &Trace,
    candidate: &Trace,
    options: &Options,
) -> Result<Report, Failure> {
    compared_by_model(reference, candidate, options, None)
}

/// The same by the weights of a model, where one is given.
pub(super) fn compared_with(
    model: &ModelFile,
    reference: &Trace,
    candidate: &Trace,
    options: &Options,
) -> Result<Report, Failure> {
    #[cfg(feature = "llama")]
    let model = model
        .path()
        .map(|path| Model::open(path, candidate.run().info()))
        .transpose()?;
    #[cfg(feature = "llama")]
    let weights = model.as_ref().map(|model| model as &dyn Weights);
    #[cfg(not(feature = "llama"))]
    let weights = model.path().and(None);
    compared_by_model(reference, candidate, options, weights)
}

fn compared_by_model(
    reference: &Trace,
    candidate: &Trace,
    options: &Options,
    weights: Option<&dyn Weights>,
) -> Result<Report, Failure> {
    let bar = progress::bytes("comparing", reference.len_bytes() + candidate.len_bytes());
    let mut advance = |progress: parity::align::Progress| bar.set_position(progress.read_bytes);
    let report = compare_with_model(reference, candidate, options, weights, &mut advance);
    bar.finish_and_clear();
    Ok(report?)
}

/// Of how many checkpoints a page holds the histograms: all of a model of 40 layers.
pub(super) const INSPECTED: usize = 700;

pub(super) fn options(args: &Compare) -> Result<Options, Failure> {
    let (reference_map, candidate_map) = args.maps.choices()?;
    Ok(Options {
        filter: Filter::new(&args.checkpoint.join(",")),
        criterion: match (args.threshold, args.bands) {
            (Some(limit), _) => Criterion::MaxNmse(limit),
            (None, true) => Criterion::Bands,
            (None, false) => Criterion::Noise,
        },
        top: args.top.unwrap_or(Options::default().top),
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
        calibration: read(args.noise.as_deref(), "noise file", Calibration::parse)?.map(Arc::new),
        tolerances: read(
            args.tolerances.as_deref(),
            "tolerance file",
            Tolerances::parse,
        )?
        .unwrap_or_default(),
        strict: args.strict,
    })
}

/// Reads and parses a file that was named.
fn read<T>(
    path: Option<&Path>,
    what: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::message(format!(
            "cannot read the {what} `{}`: {error}",
            path.display()
        ))
    })?;
    parse(&text)
        .map(Some)
        .map_err(|message| Failure::message(format!("{what} `{}`: {message}", path.display())))
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
        #[cfg(feature = "parquet")]
        ReportFormat::Parquet => Parquet.render(report, out),
        // Who asks for some checkpoints, or for more of them, wants more than one screen.
        ReportFormat::Text if args.verbose || args.top.is_some() || !args.checkpoint.is_empty() => {
            Text {
                color,
                unicode: terminal::unicode(),
                verbose: args.verbose,
            }
            .render(report, out)
        }
        ReportFormat::Text => Screen {
            color,
            unicode: terminal::unicode(),
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

/// The file that was asked for, empty, unless it is one that is to be read.
pub(super) fn created(args: &Compare) -> Result<Option<(File, &Path)>, Failure> {
    let Some(path) = args.output.as_deref() else {
        return Ok(None);
    };
    let traces = [&args.reference, &args.candidate];
    let named = [&args.noise, &args.tolerances].into_iter().flatten();
    let files = traces.into_iter().chain(&args.more).chain(named);
    output::is_no_input(path, files.map(AsRef::as_ref).chain(args.model.path()))?;
    create(path).map(Some)
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!(
        "cannot write the report to `{}`: {error}",
        path.display()
    ))
}
