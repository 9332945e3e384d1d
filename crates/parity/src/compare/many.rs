//! Several candidates against one reference.

use crate::report::v1::{Many, Report, SCHEMA_VERSION};

/// All comparisons with one reference as one result: its verdict is the worst.
pub fn many(reports: Vec<Report>) -> Many {
    let worst = reports.iter().max_by_key(|report| report.exit_code);
    // Codes alone do not tell `match`, `rounding` and `drift` apart.
    let order = ["match", "rounding", "drift"];
    let least = |report: &&Report| {
        let place = order.iter().position(|verdict| *verdict == report.verdict);
        (report.exit_code, place.unwrap_or(order.len()))
    };
    let verdict = reports
        .iter()
        .max_by_key(least)
        .map(|report| report.verdict.clone());
    Many {
        schema_version: SCHEMA_VERSION,
        parity_version: env!("CARGO_PKG_VERSION").to_owned(),
        exit_code: worst.map_or(crate::exit_code::NOT_COMPARABLE, |report| report.exit_code),
        verdict: verdict.unwrap_or_else(|| "not comparable".to_owned()),
        reports,
    }
}
