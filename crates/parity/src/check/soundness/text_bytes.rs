//! `S002`: text where numbers should be.
//!
//! **What.** Values whose bytes are printable characters, all of them: `{"ch` is 3.0e32.
//!
//! **Why it matters.** Freed memory that was handed out again holds whatever its new owner wrote. A logger that prints at
//! exit asks for a buffer of text at that very moment, so that its numbers become pieces of its own output.
//!
//! **Evidence wanted.** At least 8 values in a row, all printable, that spread over 20 binary orders of magnitude; in two
//! records. A positive `f32` of ordinary size is printable with a chance of about 1 in 20, and numbers of one tensor do
//! not spread that far, so that sound records don't look like it.
//!
//! **What it can't tell.** Types other than `f32`; text in traces with few decimals, where small numbers have lost their
//! bytes, unless the large ones show it.

use super::finding::{Finding, Records, Severity, counted};
use super::observed::{Detector, Ended, Observed};

const CODE: &str = "S002";

/// Values in a row.
const RUN: usize = 8;
/// Orders of magnitude, binary, between the smallest and the largest of the run.
const SPREAD: i32 = 20;

/// The detector.
#[derive(Debug, Default)]
pub(super) struct TextBytes {
    records: Records,
    example: Option<(u64, String)>,
}

impl Detector for TextBytes {
    fn observe(&mut self, seen: &Observed<'_>) {
        if !seen.is_f32() {
            return;
        }
        // By far the most records, and without a branch for each value.
        let printable = |value: &&f64| is_printable((**value as f32).to_bits());
        if seen.record.values.iter().filter(printable).count() < RUN {
            return;
        }
        let mut run: Vec<u32> = Vec::new();
        // A zero printed with few decimals may have been anything small, but shows nothing.
        for value in &seen.record.values {
            let bits = (*value as f32).to_bits();
            if is_printable(bits) {
                run.push(bits);
                if run.len() >= RUN && spread(&run) >= SPREAD {
                    self.records.add(seen.line);
                    self.example.get_or_insert_with(|| (seen.line, text(&run)));
                    return;
                }
            } else if !(seen.maybe_fixed && bits == 0) {
                run.clear();
            }
        }
    }

    fn finish(&mut self, _: &Ended<'_>) -> Vec<Finding> {
        let Some((line, example)) = self.example.take().filter(|_| self.records.count >= 2) else {
            return Vec::new();
        };
        vec![Finding {
            code: CODE,
            severity: Severity::Error,
            title: "text was logged in place of numbers".to_owned(),
            evidence: format!(
                "the bytes of the values are printable characters in {}; line {line} reads `{}`",
                counted(self.records.count, "record"),
                example.escape_debug(),
            ),
            cause: Some(
                "the values' memory had been freed and handed out again, to somebody who wrote text into it, often the \
                 logger itself while it printed its records at exit; not a fault of the engine"
                    .to_owned(),
            ),
            advice: "do not compare this trace; log once more with a logger that has written a record when the call \
                     returns, or flush before `main` returns"
                .to_owned(),
            records: std::mem::take(&mut self.records),
        }]
    }
}

fn is_printable(bits: u32) -> bool {
    bits.to_le_bytes()
        .iter()
        .fold(true, |all, byte| all & matches!(byte, b' '..=b'~' | b'\n'))
}

fn spread(run: &[u32]) -> i32 {
    let exponents = run.iter().map(|bits| (bits >> 23 & 0xFF) as i32);
    exponents.clone().max().unwrap_or(0) - exponents.min().unwrap_or(0)
}

fn text(run: &[u32]) -> String {
    run.iter()
        .flat_map(|bits| bits.to_le_bytes())
        .map(char::from)
        .collect()
}
