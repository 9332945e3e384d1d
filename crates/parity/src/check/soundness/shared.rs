//! `S006`: one tensor's numbers under the names of others.
//!
//! **What.** At one position several checkpoints that have nothing to do with each other hold the same numbers, to the bit.
//!
//! **Why it matters.** An engine's allocator gives a few buffers to many tensors in turn. A logger that keeps pointers and
//! reads them when the pass is over reads each buffer's last tenant under every name.
//!
//! **Evidence wanted.** At least three canonical checkpoints of two or more layers and of different kinds, all with the same
//! values, statistics and sketch, at least 8 of them different. Left out is whatever may rightly be equal: neighbours in the dataflow
//! (rotation at position 0, the context of a single token), the residual stream, which layers that add nothing hand on, and its norms.
//! For other names eight must be equal: hooks on nested modules see one tensor many times.
//!
//! **What it can't tell.** A name that shares its buffer with nothing that is logged; two names that were swapped.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed};
use super::window::Window;
use crate::align::{NameId, Place, Stage};

const CODE: &str = "S006";

const DISTINCT: usize = 8;
/// Canonical names that it takes, and others.
const CANONICAL: usize = 3;
const OTHERS: usize = 8;

/// A record that had some numbers: name, what the name means, line.
type Holder = (NameId, Option<Place>, u64);

/// What a record must share with another to hold the same numbers: their hash, position, sequence.
type Key = (u64, i64, u64);

/// Who had some numbers.
#[derive(Debug)]
struct Had {
    first: Holder,
    /// All of them, once there is a second: mostly there is none, and then none of this takes memory.
    holders: Option<Box<Holders>>,
}

/// All that had some numbers.
#[derive(Debug, Default)]
struct Holders {
    names: Vec<(NameId, Option<Place>)>,
    lines: Records,
}

impl Had {
    fn add(&mut self, holder: Holder) {
        let first = self.first;
        if first.0 == holder.0 {
            return;
        }
        let holders = self.holders.get_or_insert_with(|| {
            let mut holders = Box::<Holders>::default();
            holders.add(first);
            holders
        });
        holders.add(holder);
    }
}

impl Holders {
    fn add(&mut self, (name, place, line): Holder) {
        let known = self.names.iter().any(|(known, _)| *known == name);
        if !known && self.names.len() < Shared::MAX_NAMES {
            self.names.push((name, place));
            self.lines.add(line);
        }
    }
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Shared {
    recent: Window<Key, Had, { Shared::WINDOW }>,
    records: Records,
    names: Vec<NameId>,
    groups: u64,
}

impl Shared {
    /// Records among which equal ones are found: one pass of a 200-layer model.
    const WINDOW: usize = 4096;
    /// Names kept for the report.
    const MAX_NAMES: usize = 64;

    fn judge(&mut self, had: Had) {
        let Some(holders) = had.holders else {
            return;
        };
        if holders.names.len() < CANONICAL.min(OTHERS) {
            return;
        }
        let canonical: Vec<Place> = holders
            .names
            .iter()
            .filter_map(|(_, place)| *place)
            .collect();
        if are_unrelated(&canonical) || holders.names.len() - canonical.len() >= OTHERS {
            self.groups += 1;
            self.records.extend(&holders.lines);
            for (name, _) in &holders.names {
                if self.names.len() < Self::MAX_NAMES && !self.names.contains(name) {
                    self.names.push(*name);
                }
            }
        }
    }
}

impl Detector for Shared {
    fn observe(&mut self, seen: &Observed<'_>) {
        if seen.floats().is_none() || !seen.has_distinct(DISTINCT) {
            return;
        }
        let key = (seen.fingerprint(), seen.record.token_idx, seen.record.seq);
        let holder = (seen.name, seen.place, seen.line);
        if let Some(had) = self.recent.find(&key) {
            had.add(holder);
            return;
        }
        let had = Had {
            first: holder,
            holders: None,
        };
        if let Some(old) = self.recent.add(key, had) {
            self.judge(old);
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        while let Some(had) = self.recent.pop() {
            self.judge(had);
        }
        if self.groups == 0 {
            return Vec::new();
        }
        vec![Finding {
            code: CODE,
            severity: Severity::Error,
            title: "the same numbers under several names".to_owned(),
            evidence: format!(
                "{} hold the numbers of another checkpoint at the same position, to the bit, in {}: {}",
                counted(self.records.count, "record"),
                counted(self.groups, "group"),
                name_list(self.names.iter().map(|name| ended.names.name(*name))),
            ),
            cause: Some(
                "buffers are reused by later tensors, and the logger read them too late: it kept pointers, or logged when \
                 the pass was over"
                    .to_owned(),
            ),
            advice: "copy inside the logging call, right after the operation; with ggml inside the eval callback".to_owned(),
            records: std::mem::take(&mut self.records),
        }]
    }
}

/// True for enough places of several layers and kinds that no model makes equal.
fn are_unrelated(places: &[Place]) -> bool {
    use Stage as S;
    let products: Vec<(u32, Stage)> = places
        .iter()
        .filter_map(|place| match place {
            Place::Layer(layer, stage) => Some((*layer, *stage)),
            _ => None,
        })
        .filter(|(_, stage)| {
            !matches!(
                stage,
                S::AttnNorm
                    | S::FfnNorm
                    | S::AttnResidual
                    | S::Output
                    | S::AttnScores
                    | S::AttnProbs
            )
        })
        .collect();
    let differ = |key: fn(&(u32, Stage)) -> u32| {
        products
            .windows(2)
            .any(|pair| key(&pair[0]) != key(&pair[1]))
    };
    products.len() >= CANONICAL
        && differ(|(layer, _)| *layer)
        && differ(|(_, stage)| family(*stage))
}

/// Stages of one family may be equal: each is the one before, changed by an operation that can be the identity.
fn family(stage: Stage) -> u32 {
    use Stage as S;
    match stage {
        S::Q | S::QNorm | S::QRope => 0,
        S::K | S::KNorm | S::KRope => 1,
        S::V | S::AttnContext | S::AttnOut => 2,
        S::FfnGate | S::FfnUp | S::FfnAct | S::FfnOut => 3,
        _ => 4,
    }
}
