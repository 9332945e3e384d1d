//! A set of positions that takes little memory where positions follow each other.

/// A set of integers, kept as runs: all positions of a trace in order are a single run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals {
    /// First and last of each run, ascending, never adjacent.
    runs: Vec<(i64, i64)>,
}

impl Intervals {
    /// Adds `value`; false where it was there already.
    ///
    /// # Example
    ///
    /// ```
    /// use parity::check::Intervals;
    /// let mut seen = Intervals::default();
    /// assert!(seen.insert(3) && seen.insert(5) && seen.insert(4));
    /// assert!(!seen.insert(5));
    /// assert_eq!(seen.runs(), [(3, 5)]);
    /// ```
    pub fn insert(&mut self, value: i64) -> bool {
        // The first run that ends at or after `value`; everything before it is smaller.
        let at = self.runs.partition_point(|run| run.1 < value);
        if self.runs.get(at).is_some_and(|run| run.0 <= value) {
            return false;
        }
        let extends_previous = at > 0 && self.runs[at - 1].1.checked_add(1) == Some(value);
        let extends_next = self
            .runs
            .get(at)
            .is_some_and(|run| value.checked_add(1) == Some(run.0));
        match (extends_previous, extends_next) {
            (true, true) => {
                self.runs[at - 1].1 = self.runs[at].1;
                self.runs.remove(at);
            }
            (true, false) => self.runs[at - 1].1 = value,
            (false, true) => self.runs[at].0 = value,
            (false, false) => self.runs.insert(at, (value, value)),
        }
        true
    }

    /// Whether `value` is there.
    pub fn contains(&self, value: i64) -> bool {
        let at = self.runs.partition_point(|run| run.1 < value);
        self.runs.get(at).is_some_and(|run| run.0 <= value)
    }

    /// The runs, first and last position of each, ascending.
    pub fn runs(&self) -> &[(i64, i64)] {
        &self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(values in proptest::collection::vec(-20_i64..20, 0..80)) {
            let (mut runs, mut plain) = (Intervals::default(), BTreeSet::new());
            for value in values {
                prop_assert_eq!(runs.contains(value), plain.contains(&value));
                prop_assert_eq!(runs.insert(value), plain.insert(value));
            }
            let listed: Vec<i64> = runs.runs().iter().flat_map(|run| run.0..=run.1).collect();
            prop_assert_eq!(listed, plain.into_iter().collect::<Vec<_>>());
            prop_assert!(runs.runs().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "runs are merged");
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let mut runs = Intervals::default();
        assert!(runs.insert(i64::MAX) && runs.insert(i64::MIN) && !runs.insert(i64::MAX));
    }
}
