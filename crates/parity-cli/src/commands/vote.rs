//! `parity vote`.

use crate::args::{ColorWhen, Format, Vote};
use crate::failure::Failure;
use crate::{progress, terminal};
use orch_log::Filter;
use parity::judge::Criterion;
use parity::trace::Trace;
use parity::vote::vote;
use parity::{Options, compare};
use std::io::Write;

/// Compares every two traces, writes the vote, and gives its exit code.
pub(crate) fn run(args: &Vote, color: ColorWhen) -> Result<u8, Failure> {
    let traces = args
        .traces
        .iter()
        .map(Trace::open)
        .collect::<Result<Vec<_>, _>>()?;
    let options = Options {
        filter: Filter::new(&args.checkpoint.join(",")),
        criterion: args.threshold.map_or(Criterion::Noise, Criterion::MaxNmse),
        ..Options::default()
    };
    let pairs: Vec<[usize; 2]> = (0..traces.len())
        .flat_map(|a| (a + 1..traces.len()).map(move |b| [a, b]))
        .collect();
    let length = |[a, b]: &[usize; 2]| traces[*a].len_bytes() + traces[*b].len_bytes();
    let bar = progress::bytes("comparing", pairs.iter().map(length).sum());
    let (mut compared, mut done) = (Vec::new(), 0);
    for pair in pairs {
        let [a, b] = pair;
        let report = compare(&traces[a], &traces[b], &options, &mut |progress| {
            bar.set_position(done + progress.read_bytes);
        });
        done += length(&pair);
        compared.push((pair, report?));
    }
    bar.finish_and_clear();

    let result = vote(&compared);
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&result)? + "\n",
        Format::Text => result.text(args.verbose),
    };
    let mut out = terminal::stdout(color);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(result.exit_code)
}
