//! Special tokens inside a text: they are cut out before anything else.

/// A piece of a text: either a special token or text between such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fragment<'a> {
    Token(u32),
    Text(&'a str),
}

/// Cuts `text` at special tokens, as llama.cpp does: token by token, the longest first, so that a
/// longer one wins over a shorter one that begins before it.
pub(super) fn partition<'a>(text: &'a str, longest_first: &[(String, u32)]) -> Vec<Fragment<'a>> {
    let mut fragments = vec![Fragment::Text(text)];
    for (special, id) in longest_first {
        let mut cut = Vec::with_capacity(fragments.len());
        for fragment in fragments {
            match fragment {
                Fragment::Token(_) => cut.push(fragment),
                Fragment::Text(text) => {
                    for (index, piece) in text.split(special.as_str()).enumerate() {
                        if index > 0 {
                            cut.push(Fragment::Token(*id));
                        }
                        if !piece.is_empty() {
                            cut.push(Fragment::Text(piece));
                        }
                    }
                }
            }
        }
        fragments = cut;
    }
    fragments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_token_wins() {
        let tokens = [("<abc>".to_owned(), 1), ("ab".to_owned(), 2)];
        assert_eq!(
            partition("xab<abc>ab", &tokens),
            [
                Fragment::Text("x"),
                Fragment::Token(2),
                Fragment::Token(1),
                Fragment::Token(2)
            ]
        );
        // Not leftmost-first: `cab` begins later than `bca` would, but is tried first.
        let tokens = [("cabd".to_owned(), 7), ("bca".to_owned(), 8)];
        assert_eq!(
            partition("bcabd", &tokens),
            [Fragment::Text("b"), Fragment::Token(7)]
        );
        assert_eq!(partition("", &tokens), []);
    }
}
