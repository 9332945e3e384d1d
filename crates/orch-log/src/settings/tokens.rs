//! Which token positions are logged.

/// A set of token positions, `0-3,7,20-`.
///
/// A record that covers several positions passes when any of them is in the set: a prefill batch
/// is one tensor and is logged whole. `tokens` records always pass.
///
/// # Example
///
/// ```
/// use orch_log::TokenSet;
/// let set = TokenSet::parse("0-3,7").expect("well-formed");
/// assert!(set.overlaps(2, 1) && set.overlaps(5, 3));
/// assert!(!set.overlaps(4, 3));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSet {
    /// First and last position of each range; empty means every position.
    ranges: Vec<(i64, i64)>,
}

impl TokenSet {
    /// Reads positions and ranges separated by commas. An empty text is the set of all positions.
    ///
    /// # Errors
    ///
    /// The part that is neither a position (`7`), a range (`0-3`) nor an open range (`20-`).
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let range = match part.split_once('-') {
                None => position(part).map(|at| (at, at)),
                Some((first, "")) => position(first).map(|first| (first, i64::MAX)),
                Some((first, last)) => position(first)
                    .zip(position(last))
                    .filter(|(first, last)| first <= last),
            };
            ranges.push(range.ok_or_else(|| {
                format!("`{part}` is neither a position nor a range such as `0-3`")
            })?);
        }
        Ok(Self { ranges })
    }

    /// True when any of the `n_tokens` positions from `first` on is in the set.
    #[inline]
    pub fn overlaps(&self, first: i64, n_tokens: usize) -> bool {
        if self.ranges.is_empty() {
            return true;
        }
        let count = i64::try_from(n_tokens.max(1)).unwrap_or(i64::MAX);
        let end = first.saturating_add(count - 1);
        self.ranges
            .iter()
            .any(|(from, to)| *from <= end && first <= *to)
    }
}

fn position(text: &str) -> Option<i64> {
    text.trim().parse().ok().filter(|at| *at >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        assert_eq!(
            TokenSet::parse("0-3, 7,").map(|set| set.ranges),
            Ok(vec![(0, 3), (7, 7)])
        );
        assert_eq!(
            TokenSet::parse("20-").map(|set| set.ranges),
            Ok(vec![(20, i64::MAX)])
        );
        for bad in ["x", "3-1", "-3", "1-2-3", "99999999999999999999"] {
            assert!(TokenSet::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn everything_by_default() {
        assert!(TokenSet::default().overlaps(i64::MAX, usize::MAX));
    }
}
