//! `S036`: text with too few digits.
//!
//! **What.** Numbers that were printed with a fixed number of decimals (`%f` has 6, `%.4f` 4) or of significant digits (`%g` has 6),
//! and from which magnitude on that hides what a comparison looks for.
//!
//! **Why it matters.** `printf("%f")` makes every number below 5e-7 zero and leaves one of 1e-4 three digits. Two engines
//! that differ there look equal, and the wrong `eps` of a norm can't be seen at all.
//!
//! **Evidence wanted.** Every number of a team lies on the grid, and chance would put them there less than once in 10¹².
//!
//! **What it can't tell.** More decimals than the numbers need, which is what `%.9g` does for f32.

use super::finding::{Finding, Records, Severity, counted};
use super::observed::{Detector, Ended, Observed};
use super::text_grid::Printed;

const CODE: &str = "S036";

/// Counts the zeros; the grids themselves are kept by the analyser, since other detectors ask for them too.
#[derive(Debug, Default)]
pub(super) struct Precision {
    zeros: u64,
    values: u64,
    records: Records,
}

impl Detector for Precision {
    fn observe(&mut self, seen: &Observed<'_>) {
        if let Some(values) = seen.floats().filter(|values| !values.is_empty()) {
            self.values += values.len() as u64;
            self.zeros += values.iter().filter(|value| **value == 0.0).count() as u64;
            self.records.add(seen.line);
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        ended
            .printed
            .iter()
            .filter_map(|(team, printed)| {
                let team = team.escape_debug();
                let (title, evidence) = match *printed {
                    Printed::Exactly => return None,
                    Printed::Decimals(decimals) => {
                        let half_step = 0.5 * 10_f64.powi(-(decimals as i32));
                        (
                            "text with few decimals",
                            format!(
                                "all numbers of `{team}` have {decimals} decimals: below {half_step:.0e} all is 0 ({} of {} \
                                 values are), below {:.0e} a number is uncertain by more than 0.1 %, below {:.1} it has fewer \
                                 digits than an f32",
                                self.zeros,
                                self.values,
                                half_step * 1e3,
                                // An f32's own rounding is 2^-24 of the number.
                                half_step * 2_f64.powi(24),
                            ),
                        )
                    }
                    Printed::Digits(digits) => (
                        "text with few digits",
                        format!(
                            "all numbers of `{team}` have {digits} significant digits: each is uncertain by up to {:.0e} of \
                             itself, where an f32 has 6e-8",
                            0.5 * 10_f64.powi(1 - digits as i32)
                        ),
                    ),
                };
                Some(Finding {
                    code: CODE,
                    severity: Severity::Warning,
                    title: title.to_owned(),
                    evidence: format!("{evidence}; {}", counted(self.records.count, "record")),
                    cause: Some("the logger prints with `%f`, `%g` or the like".to_owned()),
                    advice: "print the shortest text that reads back to the same bits (`%.9g` does for f32); differences smaller \
                             than the text's own can't be judged"
                        .to_owned(),
                    records: self.records.clone(),
                })
            })
            .collect()
    }
}
