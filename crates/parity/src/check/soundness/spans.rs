//! A set of positions as a list of ranges.

/// Integers as disjoint ranges, so that all positions of a trace in order take the memory of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    /// First and last of each range, ascending, never adjacent.
    ranges: Vec<(i64, i64)>,
}

impl Spans {
    /// Ranges that are kept; a trace whose positions are scattered more than that is not followed further.
    const MAX: usize = 4096;

    /// Adds `first..=last`; true where none of it was there before.
    pub(super) fn insert(&mut self, first: i64, last: i64) -> bool {
        let (first, last) = (first, last.max(first));
        // Positions mostly follow each other, and layers come again and again.
        match self.ranges.last_mut() {
            Some(range) if range.1.checked_add(1) == Some(first) => {
                range.1 = last;
                return true;
            }
            Some(range) if range.0 <= first && last <= range.1 => return false,
            _ => {}
        }
        let begin = self
            .ranges
            .partition_point(|range| range.1.saturating_add(1) < first);
        let mut end = begin;
        let (mut low, mut high) = (first, last);
        let mut new = true;
        while let Some(range) = self
            .ranges
            .get(end)
            .filter(|range| range.0 <= last.saturating_add(1))
        {
            new &= range.1 < first || range.0 > last;
            low = low.min(range.0);
            high = high.max(range.1);
            end += 1;
        }
        if begin < end || self.ranges.len() < Self::MAX {
            self.ranges.splice(begin..end, [(low, high)]);
        }
        new
    }

    /// The ranges, ascending.
    pub(super) fn ranges(&self) -> &[(i64, i64)] {
        &self.ranges
    }

    /// First and last of all.
    pub(super) fn bounds(&self) -> Option<(i64, i64)> {
        Some((self.ranges.first()?.0, self.ranges.last()?.1))
    }

    /// What `self` holds between its own bounds that `other` does not, cut to `within`.
    pub(super) fn without(&self, other: &Self, within: (i64, i64)) -> Self {
        let mut left = Self::default();
        for &(first, last) in &self.ranges {
            let (mut first, last) = (first.max(within.0), last.min(within.1));
            for &(other_first, other_last) in &other.ranges {
                if other_last < first || other_first > last {
                    continue;
                }
                if first < other_first {
                    left.insert(first, other_first - 1);
                }
                first = other_last.saturating_add(1);
            }
            if first <= last {
                left.insert(first, last);
            }
        }
        left
    }

    /// `3, 5–7 and 2 more ranges`.
    pub(super) fn text(&self) -> String {
        const SHOWN: usize = 4;
        let mut parts: Vec<String> = self
            .ranges
            .iter()
            .take(SHOWN)
            .map(|(first, last)| {
                if first == last {
                    first.to_string()
                } else {
                    format!("{first}–{last}")
                }
            })
            .collect();
        if self.ranges.len() > SHOWN {
            parts.push(format!("{} more ranges", self.ranges.len() - SHOWN));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agree_with_plain_sets(
            a in proptest::collection::vec((-20_i64..20, 0_i64..5), 0..20),
            b in proptest::collection::vec((-20_i64..20, 0_i64..5), 0..20),
            within in (-20_i64..20, 0_i64..30),
        ) {
            let fill = |list: &[(i64, i64)]| {
                let (mut spans, mut plain) = (Spans::default(), BTreeSet::new());
                for (first, more) in list {
                    let last = first + more;
                    let new = (*first..=last).all(|value| !plain.contains(&value));
                    plain.extend(*first..=last);
                    assert_eq!(spans.insert(*first, last), new);
                    assert!(spans.ranges().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
                }
                (spans, plain)
            };
            let listed = |spans: &Spans| spans.ranges().iter().flat_map(|range| range.0..=range.1).collect::<Vec<_>>();
            let ((a, plain_a), (b, plain_b)) = (fill(&a), fill(&b));
            prop_assert_eq!(listed(&a), plain_a.iter().copied().collect::<Vec<_>>());
            let (low, high) = (within.0, within.0 + within.1);
            let expected: Vec<i64> = plain_a.difference(&plain_b).copied().filter(|v| (low..=high).contains(v)).collect();
            prop_assert_eq!(listed(&a.without(&b, (low, high))), expected);
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let mut spans = Spans::default();
        assert!(spans.insert(i64::MAX, i64::MAX) && spans.insert(i64::MIN, i64::MIN));
        assert!(!spans.insert(0, i64::MAX));
        assert_eq!(spans.text(), "-9223372036854775808, 0–9223372036854775807");
    }
}
