//! `parity merge`.

use crate::args::{ColorWhen, Merge};
use crate::failure::Failure;
use crate::{output, terminal};
use orch_log::Filter;
use parity::exit_code;
use parity::trace::{Trace, merge_ranks};
use std::io::Write;

/// Merges, and says what was done with how many tensors.
pub(crate) fn run(args: &Merge, color: ColorWhen) -> Result<u8, Failure> {
    output::is_no_input(&args.output, args.ranks.iter().map(AsRef::as_ref))?;
    let traces = args
        .ranks
        .iter()
        .map(Trace::open)
        .collect::<Result<Vec<_>, _>>()?;
    let sums = (!args.sum.is_empty()).then(|| Filter::new(&args.sum.join(",")));
    let merged = merge_ranks(&traces, sums.as_ref(), &args.output)?;
    let mut out = terminal::stdout(color);
    writeln!(
        out,
        "{}: {} records: {} put side by side, {} summed, {} the same on several ranks",
        args.output.display(),
        merged.records,
        merged.concatenated,
        merged.summed,
        merged.replicated
    )?;
    if merged.records == 0 && merged.refused == 0 {
        writeln!(
            out,
            "  none of the traces has a record: `parity check {}` says why",
            args.ranks[0].display()
        )?;
    }
    for reason in &merged.reasons {
        writeln!(out, "  left out: {reason}")?;
    }
    let unlisted = merged.refused.saturating_sub(merged.reasons.len() as u64);
    if unlisted > 0 {
        writeln!(out, "  and {unlisted} more")?;
    }
    out.flush()?;
    Ok(
        match (merged.replicas_differ, merged.refused, merged.records) {
            (1.., _, _) => exit_code::DIVERGED,
            (0, 0, 1..) => exit_code::AGREES,
            _ => exit_code::NOT_COMPARABLE,
        },
    )
}
