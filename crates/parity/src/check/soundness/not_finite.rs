//! `S021`: NaN and infinity.
//!
//! **What.** Counts over all elements where the record has statistics, else over the logged values; the first checkpoint and position
//! that has them; whether whole rows explain the count.
//!
//! **Why it matters.** Comparisons skip or poison what is not finite, and the first checkpoint that has it is where to look. The
//! count understates the damage: numbers beside it may be finite and wrong.
//!
//! **Evidence wanted.** The statistics, or a value. Infinities are left out where they are how masks are made: scores and
//! masks by name, and `-Infinity` in logits, which only shows that a sampler has been at work (an info).
//!
//! **What it can't tell.** Where in a record beyond the logged values they lie; by which operation they came.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed};
use crate::align::{NameId, Place, Stage};

const CODE: &str = "S021";

#[derive(Debug, Default)]
struct Found {
    nan: u64,
    infinite: u64,
    counted_all: bool,
    whole_rows: Option<bool>,
    first: Option<(NameId, i64, u64, Option<usize>)>,
    names: Vec<NameId>,
    records: Records,
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct NotFinite {
    found: Found,
    masked_logits: Records,
}

/// Names that are kept for the report.
const MAX_NAMES: usize = 64;

impl Detector for NotFinite {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        let first_value = record.values.iter().position(|value| !value.is_finite());
        let logged = |wanted: fn(&f64) -> bool| {
            record.values.iter().filter(|value| wanted(value)).count() as u64
        };
        let (nan, infinite) = match &record.stats {
            Some(stats) => (stats.nan, stats.inf),
            None => (
                logged(|value| value.is_nan()),
                logged(|value| value.is_infinite()),
            ),
        };
        if nan == 0 && infinite == 0 {
            return;
        }
        let has_positive = record.values.contains(&f64::INFINITY);
        let infinite = if masks_by_infinity(seen.place, &record.checkpoint) && !has_positive {
            0
        } else if seen.place == Some(Place::Logits) && !has_positive && infinite > 0 {
            self.masked_logits.add(seen.line);
            0
        } else {
            infinite
        };
        if nan == 0 && infinite == 0 {
            return;
        }
        let found = &mut self.found;
        found.nan = found.nan.saturating_add(nan);
        found.infinite = found.infinite.saturating_add(infinite);
        found.counted_all |= record.stats.is_some();
        let row = record.len().unwrap_or(0) / record.n_tokens.max(1);
        let whole = record.n_tokens > 1
            && record.stats.is_some()
            && row > 1
            && nan.saturating_add(infinite) % row as u64 == 0;
        found.whole_rows = Some(found.whole_rows.unwrap_or(true) && whole);
        found
            .first
            .get_or_insert((seen.name, record.token_idx, seen.line, first_value));
        if found.names.len() < MAX_NAMES && !found.names.contains(&seen.name) {
            found.names.push(seen.name);
        }
        found.records.add(seen.line);
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let found = std::mem::take(&mut self.found);
        if let Some((name, position, line, element)) = found.first {
            let over = if found.counted_all {
                "all elements"
            } else {
                "the logged values"
            };
            let at = element.map_or_else(String::new, |element| format!(", element {element}"));
            let mut evidence = format!(
                "{} NaN and {} infinite of {over} in {} of {}; first in {} at position {position} (line {line}{at})",
                found.nan,
                found.infinite,
                counted(found.records.count, "record"),
                name_list(found.names.iter().map(|name| ended.names.name(*name))),
                name_list(std::iter::once(ended.names.name(name))),
            );
            if found.whole_rows == Some(true) {
                evidence.push_str(
                    "; the counts are whole rows, as padded or fully masked tokens give them",
                );
            }
            findings.push(Finding {
                code: CODE,
                severity: Severity::Warning,
                title: "values that are not finite".to_owned(),
                evidence,
                cause: None,
                advice: "look at the first checkpoint that has them and at its inputs; numbers beside them may be finite and \
                         wrong all the same"
                    .to_owned(),
                records: found.records,
            });
        }
        if self.masked_logits.count > 0 {
            findings.push(Finding {
                code: CODE,
                severity: Severity::Info,
                title: "logits with -Infinity".to_owned(),
                evidence: format!(
                    "{} of `logits` have infinite elements",
                    counted(self.masked_logits.count, "record")
                ),
                cause: Some(
                    "a sampler or a grammar has masked them: these are not the model's logits"
                        .to_owned(),
                ),
                advice: "log the logits before the sampler sees them".to_owned(),
                records: std::mem::take(&mut self.masked_logits),
            });
        }
        findings
    }
}

/// True where minus infinity is how a place is masked.
fn masks_by_infinity(place: Option<Place>, name: &str) -> bool {
    matches!(place, Some(Place::Layer(_, Stage::AttnScores)))
        || ["mask", "score", "kq", "bias", "attn_weights"]
            .iter()
            .any(|part| name.contains(part))
}
