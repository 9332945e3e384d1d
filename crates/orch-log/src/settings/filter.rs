//! Which checkpoints are logged.

/// A list of globs over checkpoint names.
///
/// `*` stands for any run of characters, `?` for one; `!` before a glob negates it. A name passes when
/// it matches no negated glob and, if there are any others, at least one of them. The order of
/// the globs does not matter. `tokens` passes unless it is negated by its own name, because
/// without it two traces cannot be shown to have seen the same input.
///
/// # Example
///
/// ```
/// use orch_log::Filter;
/// let filter = Filter::new("layer_*_output, logits, !layer_1?_*");
/// assert!(filter.passes("layer_3_output") && filter.passes("tokens"));
/// assert!(!filter.passes("layer_12_output") && !filter.passes("embedding"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Filter {
    /// Reads globs separated by commas; blanks around them and empty ones are ignored.
    pub fn new(globs: &str) -> Self {
        let mut filter = Self::default();
        for glob in globs.split(',').map(str::trim) {
            match glob.strip_prefix('!').map(str::trim_start) {
                Some("") => {}
                Some(glob) => filter.unwanted.push(glob.to_owned()),
                None if glob.is_empty() => {}
                None => filter.wanted.push(glob.to_owned()),
            }
        }
        filter
    }

    /// True when records of this checkpoint are logged.
    #[inline]
    pub fn passes(&self, checkpoint: &str) -> bool {
        if self.wanted.is_empty() && self.unwanted.is_empty() {
            return true;
        }
        if checkpoint == crate::format::TOKENS {
            return !self.unwanted.iter().any(|glob| glob == checkpoint);
        }
        let matches = |glob: &String| glob_matches(glob.as_bytes(), checkpoint.as_bytes());
        !self.unwanted.iter().any(matches)
            && (self.wanted.is_empty() || self.wanted.iter().any(matches))
    }
}

/// Iterative matching with one point to go back to: linear for the usual globs, never worse than
/// the product of the lengths, no recursion.
fn glob_matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                back = Some((g, n));
                g += 1;
            }
            Some(b'?') => {
                g += 1;
                n += 1;
            }
            Some(byte) if *byte == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    g = star + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("layer_*_q", "layer_10_q", true),
            ("layer_*_q", "layer_10_q_rope", false),
            ("*_q*", "layer_10_q_rope", true),
            ("layer_?_q", "layer_10_q", false),
            ("*a*b*c", "xxaxxbxxbxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("logits", "logits", true),
        ] {
            assert_eq!(
                glob_matches(glob.as_bytes(), name.as_bytes()),
                expected,
                "{glob} on {name}"
            );
        }
    }

    #[test]
    fn negation() {
        let filter = Filter::new("!layer_1*");
        assert!(filter.passes("layer_2_q") && filter.passes("logits"));
        assert!(!filter.passes("layer_11_q"));
        let filter = Filter::new(" , logits,! tokens,!");
        assert!(filter.passes("logits"));
        assert!(!filter.passes("tokens") && !filter.passes("embedding"));
        assert!(Filter::new("!*").passes("tokens"));
    }
}
