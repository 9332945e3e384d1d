//! `S022`: constant tensors.
//!
//! **What.** A checkpoint that is a canonical activation and all of whose elements are equal, in every record.
//!
//! **Why it matters.** Comparing it proves nothing: a correlation of 1.0, or none at all, a relative error over nothing. It may be
//! right (a layer that adds zero) or the buffer that nobody wrote.
//!
//! **Evidence wanted.** Statistics over all elements with equal least and greatest, or all elements logged and equal; at
//! least 8 elements. Softmax rows over a single position are one throughout, rightly.
//!
//! **What it can't tell.** Whether it is right. That is why it is an info.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed, PerName, is_probabilities};

const CODE: &str = "S022";

const MIN_ELEMENTS: usize = 8;

#[derive(Debug, Default)]
struct Of {
    constant: Records,
    varied: u64,
    value: f64,
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Constant {
    names: PerName<Of>,
}

impl Detector for Constant {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        let elements = record.len().unwrap_or(0);
        if seen.place.is_none()
            || seen.floats().is_none()
            || elements < MIN_ELEMENTS
            || is_probabilities(seen.place)
        {
            return;
        }
        let all_equal = match (&record.stats, record.values.first()) {
            (Some(stats), _) => {
                (stats.nan == 0 && stats.inf == 0 && stats.min == stats.max).then_some(stats.min)
            }
            (None, Some(first)) if record.values.len() == elements => record
                .values
                .iter()
                .all(|value| value == first)
                .then_some(*first),
            // Constant or not, the logged values do not tell.
            _ => return,
        };
        let of = self.names.of(seen.name);
        match all_equal {
            Some(value) => {
                of.value = value;
                of.constant.add(seen.line);
            }
            None => of.varied += 1,
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let hit: Vec<(&str, &Of)> = self
            .names
            .iter(ended.names)
            .filter(|(_, of)| of.varied == 0 && of.constant.count > 0)
            .collect();
        let Some((_, first)) = hit.first() else {
            return Vec::new();
        };
        let mut records = Records::default();
        hit.iter().for_each(|(_, of)| records.extend(&of.constant));
        vec![Finding {
            code: CODE,
            severity: Severity::Info,
            title: "tensors that are constant".to_owned(),
            evidence: format!(
                "all elements are equal in {}, every record of {} (the first is {:e} throughout)",
                counted(records.count, "record"),
                name_list(hit.iter().map(|(name, _)| *name)),
                first.value,
            ),
            cause: None,
            advice: "agreement there proves nothing; if the tensor should vary, its buffer may not have been written".to_owned(),
            records,
        }]
    }
}
