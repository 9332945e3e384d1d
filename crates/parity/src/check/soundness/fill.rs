//! `S003`: fill patterns of debug allocators and sanitizers.
//!
//! **What.** At least four values in a row with the bits of a known pattern: 0xCDCDCDCD, 0xDEADBEEF, 0xFEEEFEEE…
//!
//! **Why it matters.** The memory was never written, or had been given back: the record was taken too early, too late, or
//! is longer than its tensor.
//!
//! **Evidence wanted.** The exact bits, four times in a row. No computation gives -4.316021e8 four times.
//!
//! **What it can't tell.** 0xFF… is a NaN, and text has no bits of a NaN: it counts with the NaNs (`S021`). -1 as an integer
//! and one-byte integers are too common to mean anything, and so are the patterns as `f16` (-23.2, -1.69, 203). In text
//! with few decimals only the large patterns keep their bits. Zeros have a detector of their own (`S004`).

use super::finding::{Finding, Records, Severity, counted};
use super::observed::{Detector, Ended, Observed};
use half::bf16;
use orch_log::format::Dtype;
use std::collections::BTreeMap;

const CODE: &str = "S003";

const IN_A_ROW: usize = 4;

/// Pattern and who leaves it.
const PATTERNS: [(u32, &str); 12] = [
    (
        0xCDCD_CDCD,
        "Microsoft's debug heap, allocated and not written",
    ),
    (
        0xCCCC_CCCC,
        "Microsoft's run-time checks, a local that was not written",
    ),
    (0xDDDD_DDDD, "Microsoft's debug heap, freed"),
    (0xFDFD_FDFD, "Microsoft's debug heap, beyond the end"),
    (0xFEEE_FEEE, "Windows' debug heap, freed"),
    (0xABAB_ABAB, "Windows' heap, beyond the end"),
    (0xBAAD_F00D, "Windows' heap, allocated and not written"),
    (0xDEAD_BEEF, "a marker for memory that nobody owns"),
    (0xEFBE_ADDE, "0xDEADBEEF in the other byte order"),
    (0xBEBE_BEBE, "AddressSanitizer, allocated and not written"),
    (0xA5A5_A5A5, "jemalloc, allocated and not written"),
    (0x5A5A_5A5A, "jemalloc, freed"),
];

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Fill {
    found: BTreeMap<usize, Records>,
}

impl Detector for Fill {
    fn observe(&mut self, seen: &Observed<'_>) {
        let values = &seen.record.values;
        let dtype = seen.record.dtype;
        // By far the most records, and without a branch for each value.
        let equal = values.windows(2).filter(|pair| pair[0] == pair[1]).count();
        if equal < IN_A_ROW - 1 {
            return;
        }
        let mut at = 0;
        while at + IN_A_ROW <= values.len() {
            let run = values[at..]
                .iter()
                .take_while(|value| **value == values[at])
                .count();
            if run >= IN_A_ROW
                && values[at] != 0.0
                && let Some(pattern) = pattern_of(values[at], dtype)
            {
                self.found.entry(pattern).or_default().add(seen.line);
                return;
            }
            at += run.max(1);
        }
    }

    fn finish(&mut self, _: &Ended<'_>) -> Vec<Finding> {
        std::mem::take(&mut self.found)
            .into_iter()
            .map(|(pattern, records)| {
                let (bits, whose) = PATTERNS[pattern];
                Finding {
                    code: CODE,
                    severity: Severity::Error,
                    title: "a fill pattern was logged in place of numbers".to_owned(),
                    evidence: format!(
                        "{} hold 0x{bits:08X}, at least {IN_A_ROW} times in a row: {whose}",
                        counted(records.count, "record")
                    ),
                    cause: Some(
                        "the memory that was logged did not hold the tensor: not written yet, already freed, or shorter \
                         than the shape says"
                            .to_owned(),
                    ),
                    advice: "log after the operation has ended (synchronise a device first) and before its buffer is given \
                             back; check element count and offset of the call"
                        .to_owned(),
                    records,
                }
            })
            .collect()
    }
}

fn pattern_of(value: f64, dtype: Dtype) -> Option<usize> {
    let repeated_half = |half: u16| u32::from(half) << 16 | u32::from(half);
    let bits = match dtype {
        Dtype::F32 => (value as f32).to_bits(),
        // Of ordinary size: a constant tensor may well have it.
        Dtype::Bf16 if value.abs() > 1.0 || value.abs() < 1e-9 => {
            repeated_half(bf16::from_f64(value).to_bits())
        }
        Dtype::I32 => value as i64 as i32 as u32,
        Dtype::U32 => value as i64 as u32,
        Dtype::F64 => {
            let bits = value.to_bits();
            if bits >> 32 != bits & 0xFFFF_FFFF {
                return None;
            }
            bits as u32
        }
        _ => return None,
    };
    PATTERNS.iter().position(|(pattern, _)| *pattern == bits)
}
