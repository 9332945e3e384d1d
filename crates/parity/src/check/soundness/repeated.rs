//! `S005`: the numbers of the token before.
//!
//! **What.** A checkpoint with the same numbers, to the bit, at one position and the next.
//!
//! **Why it matters.** A hook that ran once while a graph was captured and whose buffer is read at every replay, a copy from a
//! device that nobody waited for, a pointer kept instead of a copy: every step looks complete and is the first one again.
//!
//! **Evidence wanted.** A canonical checkpoint that depends on position or context, at least four different values in a record,
//! equal values, statistics and sketch in two neighbouring single-token records, twice. Where the trace says which tokens were fed, equal
//! tokens are no evidence. Embeddings and what hangs on them alone are passed over: a repeated token repeats them rightly.
//!
//! **What it can't tell.** Whether the logger or the engine repeated itself: an engine that computes the same for different
//! tokens is broken, but its trace is not, so this is a warning. A buffer that is late by a constant number of steps repeats
//! nothing; only a second trace shows it.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed, PerName, may_ignore_position};
use orch_log::format::Record;
use std::hash::{BuildHasher, Hash, Hasher};

const CODE: &str = "S005";

/// Repetitions that it takes.
const ENOUGH: u64 = 2;
/// Different values without which two equal records mean nothing.
pub(super) const DISTINCT: usize = 4;

#[derive(Debug, Default)]
struct Last {
    hash: u64,
    position: i64,
    seq: u64,
    repeats: Records,
    /// Repeats where the trace says that the tokens differ.
    different_tokens: u64,
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    names: PerName<Last>,
}

impl Detector for Repeated {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        let (Some(place), Some(_)) = (seen.place, seen.floats()) else {
            return;
        };
        if !seen.single_token() || may_ignore_position(place) || !seen.has_distinct(DISTINCT) {
            return;
        }
        let hash = seen.fingerprint();
        let last = self.names.of(seen.name);
        if last.hash == hash && last.seq == record.seq && last.position != record.token_idx {
            let ids = [last.position, record.token_idx]
                .map(|position| seen.tokens.id(record.seq, position));
            match ids {
                [Some(a), Some(b)] if a == b => {}
                [Some(_), Some(_)] => {
                    last.repeats.add(seen.line);
                    last.different_tokens += 1;
                }
                _ => last.repeats.add(seen.line),
            }
        }
        (last.hash, last.position, last.seq) = (hash, record.token_idx, record.seq);
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let hit: Vec<(&str, &Last)> = self
            .names
            .iter(ended.names)
            .filter(|(_, last)| last.repeats.count > 0)
            .collect();
        let mut records = Records::default();
        let mut different_tokens = 0;
        for (_, last) in &hit {
            records.extend(&last.repeats);
            different_tokens += last.different_tokens;
        }
        if records.count < ENOUGH {
            return Vec::new();
        }
        let mut evidence = format!(
            "{} of {} have exactly the numbers of the position before",
            counted(records.count, "record"),
            name_list(hit.iter().map(|(name, _)| *name)),
        );
        if different_tokens > 0 {
            evidence.push_str(&format!(
                "; in {different_tokens} of these the trace says that the tokens differ"
            ));
        }
        vec![Finding {
            code: CODE,
            severity: Severity::Warning,
            title: "the numbers of the previous step again".to_owned(),
            evidence,
            cause: Some(
                "the record was not renewed: a hook that ran only while a graph was captured or compiled, a transfer from a \
                 device that was not awaited, or a buffer that is logged by reference"
                    .to_owned(),
            ),
            advice: "log from inside the replayed graph or disable graphs while logging, synchronise before reading, copy \
                     inside the logging call; if the trace is right, the engine computes the same for different positions"
                .to_owned(),
            records,
        }]
    }
}

/// How many different values, zero left out, up to 16.
pub(super) fn distinct(values: &[f64]) -> usize {
    let (mut seen, mut count) = ([0_u64; 16], 0);
    for value in values.iter().filter(|value| **value != 0.0) {
        let bits = value.to_bits();
        if !seen[..count].contains(&bits) {
            seen[count] = bits;
            count += 1;
            if count == seen.len() {
                break;
            }
        }
    }
    count
}

/// At least so many different values there are, zero left out: a bit for each, without a branch, and two may share one.
pub(super) fn surely_distinct(values: &[f64]) -> usize {
    // Of the golden ratio: the products of numbers that are close to each other are far apart.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let bit =
        |value: &f64| u64::from(*value != 0.0) << (value.to_bits().wrapping_mul(SPREAD) >> 58);
    let bits = values
        .iter()
        .take(64)
        .map(bit)
        .fold(0, |all, bit| all | bit);
    bits.count_ones() as usize
}

/// A hash of all that a record says about its numbers.
pub(super) fn fingerprint(record: &Record) -> u64 {
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    record.shape.hash(&mut hasher);
    let mut take = |value: f64| value.to_bits().hash(&mut hasher);
    record.values.iter().copied().for_each(&mut take);
    if let Some(stats) = &record.stats {
        [stats.min, stats.max, stats.mean, stats.rms]
            .into_iter()
            .for_each(&mut take);
    }
    if let Some(sketch) = &record.sketch {
        sketch.s.iter().copied().for_each(&mut take);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn different_values_are_counted(picks in proptest::collection::vec(0_usize..12, 0..40), scale in -1e9..1e9) {
            let values: Vec<f64> = picks.iter().map(|pick| *pick as f64 * scale).collect();
            let different: HashSet<u64> =
                values.iter().filter(|value| **value != 0.0).map(|value| value.to_bits()).collect();
            prop_assert_eq!(distinct(&values), different.len().min(16));
            prop_assert!(surely_distinct(&values) <= different.len());
        }
    }

    #[test]
    fn values_of_a_tensor_are_surely_different() {
        let values: Vec<f64> = (0..10)
            .map(|i| f64::from((0.7_f32 * i as f32).sin()))
            .collect();
        assert!(surely_distinct(&values) >= 8);
        assert_eq!(surely_distinct(&[0.0, -0.0, 1.5, 1.5]), 1);
    }
}
