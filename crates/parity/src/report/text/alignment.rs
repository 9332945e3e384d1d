//! How the records of two traces were brought together.

use super::page::Page;
use crate::report::v1::{Covered, Report};
use crate::report::words::counted;

/// Checkpoints that are named for one difference.
const FEW: usize = 4;

/// Name maps, offset and layouts that were undone, where there are any.
pub(super) fn undone(page: &mut Page, report: &Report) {
    let alignment = &report.alignment;
    for used in &alignment.maps {
        let how = if used.automatic {
            ", chosen by its names"
        } else {
            ""
        };
        let ignored = match used.ignored_records {
            0 => String::new(),
            records => format!(", {} passed over", counted(records, "record")),
        };
        page.fill(
            "  names      ",
            &format!(
                "the {}'s are read with the map `{}`{how}: {} of {}{ignored}",
                used.side,
                used.map,
                used.known_names,
                counted(used.foreign_names, "foreign name")
            ),
        );
    }
    let share = |covered: &Covered| match covered.records {
        0 => "nothing".to_owned(),
        records => format!("{:.1} %", 100.0 * covered.compared as f64 / records as f64),
    };
    let (ours, theirs) = (share(&alignment.reference), share(&alignment.candidate));
    page.fill(
        "  coverage   ",
        &format!("{ours} of the reference's records, {theirs} of the candidate's"),
    );
    if alignment.token_offset != 0 {
        page.fill(
            "  positions  ",
            &format!("{:+} to the candidate's", alignment.token_offset),
        );
    }
    for undone in &alignment.undone {
        let mut names = undone.checkpoints.clone();
        let more = names.len().saturating_sub(FEW);
        names.truncate(FEW);
        let mut list = names.join(", ");
        if more > 0 {
            list = format!("{list} and {more} more");
        }
        page.fill(
            "  undone     ",
            &format!("{}: {}; {list}", undone.what, counted(undone.pairs, "pair")),
        );
    }
}
