//! `S004`: zeros where other records of the checkpoint have data.
//!
//! **What.** A record that is all zero, or whose rest is zero from some element on, among records of the same
//! checkpoint and shape that have no zero at all.
//!
//! **Why it matters.** A copy that was too short, a device transfer that had not ended, a buffer that was only allocated: the
//! record looks like a tensor of the right size.
//!
//! **Evidence wanted.** At least three records of the same name and shape without any zero, one of them before and one after the
//! record in question. Checkpoints that have zeros anywhere else (after ReLU, masks, one-hot) are passed over, so are rows
//! between 0 and 1 (probabilities end in masked zeros) and tails that only the first records have (a cache that fills).
//!
//! **What it can't tell.** Whether the engine itself computed zeros: rows of padding tokens are sometimes zero. That is
//! why it is a warning.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed, PerKey, is_probabilities};

const CODE: &str = "S004";

/// Records without zeros that it takes.
const DENSE_RECORDS: u64 = 3;

/// Records of one name and shape.
#[derive(Debug, Default)]
struct Group {
    /// Records without a zero, and the line of the last one.
    dense: u64,
    last_dense: u64,
    /// True where zeros stand in the midst of data.
    scattered: bool,
    /// True where a value below 0 or above 1 was seen.
    beyond_unit: bool,
    /// Damaged records that came after a dense one.
    all_zero: Records,
    tail: Records,
    /// Elements in the shortest zero tail, and how many there are.
    shortest_tail: (usize, usize),
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Zeros {
    groups: PerKey<Vec<usize>, Group>,
}

impl Zeros {
    /// Names and shapes that are told apart; a prefill of each length has its own.
    const MAX_GROUPS: usize = 1 << 16;
    /// Fewer zeros are chance where numbers are small for their type or text.
    const MIN_TAIL: usize = 4;
    /// Fewer values than these show no tail.
    const MIN_VALUES: usize = 8;
}

impl Detector for Zeros {
    fn observe(&mut self, seen: &Observed<'_>) {
        let Some(values) = seen
            .floats()
            .filter(|values| values.len() >= Self::MIN_VALUES)
        else {
            return;
        };
        if is_probabilities(seen.place) {
            return;
        }
        let shape = seen.record.shape.as_slice();
        let Some(group) = self.groups.of(seen.name, shape, Self::MAX_GROUPS) else {
            return;
        };
        if group.scattered {
            return;
        }
        let zeros = values.iter().filter(|value| **value == 0.0).count();
        let trailing = values
            .iter()
            .rev()
            .take_while(|value| **value == 0.0)
            .count();
        group.beyond_unit =
            group.beyond_unit || values.iter().any(|value| *value < 0.0 || *value > 1.0);
        if zeros == 0 {
            group.dense += 1;
            group.last_dense = seen.line;
        } else if zeros > trailing {
            group.scattered = true;
        } else if group.dense == 0 {
            // Before the first data: not yet filled, perhaps rightly.
        } else if zeros == values.len() {
            group.all_zero.add(seen.line);
        } else if trailing >= Self::MIN_TAIL && trailing * 4 >= values.len() {
            group.tail.add(seen.line);
            if group.shortest_tail.0 == 0 || trailing < group.shortest_tail.0 {
                group.shortest_tail = (trailing, values.len());
            }
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let (mut all_zero, mut tail) = (Records::default(), Records::default());
        let (mut zero_names, mut tail_names, mut shortest) = (Vec::new(), Vec::new(), (0, 0));
        for (name, _, group) in self.groups.sorted() {
            if group.scattered || !group.beyond_unit || group.dense < DENSE_RECORDS {
                continue;
            }
            let name = ended.names.name(name);
            if group.all_zero.count > 0 && group.all_zero.first() < group.last_dense {
                all_zero.extend(&group.all_zero);
                zero_names.push(name);
            }
            if group.tail.count > 0 && group.tail.first() < group.last_dense {
                tail.extend(&group.tail);
                tail_names.push(name);
                shortest = group.shortest_tail;
            }
        }
        let mut findings = Vec::new();
        if all_zero.count > 0 {
            findings.push(finding(
                "records that are all zero",
                format!(
                    "{} of {} are zero throughout, while others before and after have no zero at all",
                    counted(all_zero.count, "record"),
                    name_list(zero_names.into_iter()),
                ),
                all_zero,
            ));
        }
        if tail.count > 0 {
            findings.push(finding(
                "records that end in zeros",
                format!(
                    "{} of {} are zero from some element on (in one the last {} of {} logged values), while others before \
                     and after have no zero at all",
                    counted(tail.count, "record"),
                    name_list(tail_names.into_iter()),
                    shortest.0,
                    shortest.1,
                ),
                tail,
            ));
        }
        findings
    }
}

fn finding(title: &str, evidence: String, records: Records) -> Finding {
    Finding {
        code: CODE,
        severity: Severity::Warning,
        title: title.to_owned(),
        evidence,
        cause: Some(
            "a copy that was too short or had not ended when the values were read (an asynchronous transfer from a device), or \
             rows of padding that the engine really set to zero"
                .to_owned(),
        ),
        advice: "synchronise the device before the logging call; check the element count that is passed to it".to_owned(),
        records,
    }
}
