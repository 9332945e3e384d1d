//! The figures of one model.

use crate::case::{Answer, CaseResult};
use crate::expected::expected;
use std::collections::BTreeMap;
use std::fmt;

/// The figures of one model.
pub(crate) struct Table {
    model: String,
    counts: [usize; 5],
    /// (right code, given code) of answers that are not right first.
    confused: BTreeMap<(String, String), Vec<String>>,
    unknown: Vec<String>,
    unseen: Vec<String>,
    clean_pairs: usize,
    clean_claims: usize,
}

impl Table {
    pub(crate) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            counts: [0; 5],
            confused: BTreeMap::new(),
            unknown: Vec::new(),
            unseen: Vec::new(),
            clean_pairs: 0,
            clean_claims: 0,
        }
    }

    /// A pair without a mistake, for which so many causes were claimed.
    pub(crate) fn clean(&mut self, claims: usize) {
        self.clean_pairs += 1;
        self.clean_claims += claims;
    }

    pub(crate) fn add(&mut self, result: CaseResult) {
        self.counts[result.answer as usize] += 1;
        let right = expected(&result.fault).join("/");
        let named = format!("{} (layer {})", result.fault, result.layer);
        match result.answer {
            Answer::Right => {}
            Answer::Among | Answer::Wrong => {
                let given = result.codes.join(",");
                self.confused.entry((right, given)).or_default().push(named);
            }
            Answer::Unknown => self.unknown.push(named),
            Answer::Unseen => self.unseen.push(named),
        }
    }

    /// Mistakes that the comparison saw.
    fn seen(&self) -> usize {
        self.counts.iter().sum::<usize>() - self.counts[Answer::Unseen as usize]
    }

    fn part(&self, answer: Answer) -> f64 {
        self.counts[answer as usize] as f64 / self.seen().max(1) as f64
    }

    /// True where the goals are met.
    pub(crate) fn is_good(&self, at_least: Option<f64>, at_most_wrong: Option<f64>) -> bool {
        self.clean_claims == 0
            && at_least.is_none_or(|part| self.part(Answer::Right) >= part)
            && at_most_wrong.is_none_or(|part| self.part(Answer::Wrong) <= part)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24}", self.model)?;
        for answer in Answer::ALL {
            let count = self.counts[answer as usize];
            write!(f, "  {} {count}", answer.name())?;
            if answer != Answer::Unseen {
                write!(f, " ({:.1} %)", 100.0 * self.part(answer))?;
            }
        }
        writeln!(
            f,
            "  clean pairs {}, causes claimed there {}",
            self.clean_pairs, self.clean_claims
        )?;
        for ((right, given), faults) in &self.confused {
            writeln!(f, "    {given} given, {right} right: {}", faults.join(", "))?;
        }
        for (what, faults) in [("unknown", &self.unknown), ("not seen", &self.unseen)] {
            if !faults.is_empty() {
                writeln!(f, "    {what}: {}", faults.join(", "))?;
            }
        }
        Ok(())
    }
}
