//! `parity verify`.

use crate::args::{ColorWhen, Format, Verify};
use crate::failure::Failure;
use crate::model::Model;
use crate::{progress, terminal};
use orch_log::Filter;
use parity::trace::{Index, Trace};
use parity::verify::{Options, render_text, verify};
use std::io::Write;

/// Recomputes a trace, writes what was found, and gives the exit code.
pub(crate) fn run(args: &Verify, color: ColorWhen) -> Result<u8, Failure> {
    let trace = Trace::open(&args.trace)?;
    let model = Model::open(&args.model, trace.run().info())?;
    let index = Index::new(&trace)?;
    let options = Options {
        filter: Filter::new(&args.checkpoint.join(",")),
        limit: args.limit,
    };
    let bar = progress::steps("verifying", index.names().count() as u64);
    let result = verify(&index, &model, &options, &mut |progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
    });
    bar.finish_and_clear();
    let result = result?;

    let mut out = terminal::stdout(color);
    match args.format {
        Format::Text => out.write_all(render_text(&result, args.verbose).as_bytes())?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &result)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(result.exit_code)
}
