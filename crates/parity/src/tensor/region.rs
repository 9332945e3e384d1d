//! Which elements of two equally shaped tensors are compared.

/// The elements of a tensor that take part in a comparison.
///
/// Left out are the rows of positions past the point where the inputs of the two runs part, and, for
/// attention scores, the places that the causal mask hides: engines may leave anything there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Blocks outside the token axis.
    outer: u64,
    /// Length of the token axis (1 where the tensor has none).
    tokens: u64,
    /// Elements of one position in one outer block.
    inner: u64,
    /// How many positions take part, from the first.
    kept_tokens: u64,
    causal: Option<Causal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Causal {
    /// Length of the innermost axis.
    kv: u64,
    /// Absolute position of the first token.
    first_position: u64,
}

impl Region {
    /// All elements of a tensor of this shape.
    ///
    /// `token_axis` is the axis that holds the positions; `None` for a single token without one.
    pub fn whole(dims: &[usize], token_axis: Option<usize>) -> Self {
        let product = |dims: &[usize]| dims.iter().map(|dim| *dim as u64).product();
        match token_axis.filter(|axis| *axis < dims.len()) {
            Some(axis) => Self {
                outer: product(&dims[..axis]),
                tokens: dims[axis] as u64,
                inner: product(&dims[axis + 1..]),
                kept_tokens: dims[axis] as u64,
                causal: None,
            },
            None => Self {
                outer: 1,
                tokens: 1,
                inner: product(dims),
                kept_tokens: 1,
                causal: None,
            },
        }
    }

    /// Only the first `tokens` positions.
    pub fn first_tokens(mut self, tokens: u64) -> Self {
        self.kept_tokens = self.kept_tokens.min(tokens);
        self
    }

    /// Only keys at or before the query's own position: the innermost axis, of length `kv`, holds the
    /// absolute key positions from 0, and the first row belongs to position `first_position`.
    ///
    /// Changes nothing where `kv` cannot be the innermost axis inside the token axis.
    pub fn causal(mut self, kv: usize, first_position: i64) -> Self {
        let kv = kv as u64;
        if kv > 0 && self.inner.is_multiple_of(kv) {
            let first_position = u64::try_from(first_position).unwrap_or(0);
            self.causal = Some(Causal { kv, first_position });
        }
        self
    }

    /// Elements of the whole tensor.
    pub fn total(&self) -> u64 {
        self.outer * self.tokens * self.inner
    }

    /// Elements that are compared.
    pub fn count(&self) -> u64 {
        match self.causal {
            None => self.outer * self.kept_tokens * self.inner,
            Some(_) => self.ranges().map(|(_, length)| length).sum(),
        }
    }

    /// True where every element is compared, so that figures of the whole tensor (statistics,
    /// sketches) speak of the same elements.
    pub fn is_whole(&self) -> bool {
        self.count() == self.total()
    }

    /// The compared elements as runs of row-major indices, `(first, length)`, in ascending order.
    pub fn ranges(&self) -> Box<dyn Iterator<Item = (u64, u64)> + '_> {
        let block = self.tokens * self.inner;
        let Some(causal) = self.causal else {
            let kept = self.kept_tokens * self.inner;
            if self.kept_tokens == self.tokens {
                return Box::new(
                    [(0, self.total())]
                        .into_iter()
                        .filter(|(_, length)| *length > 0),
                );
            }
            return Box::new(
                (0..self.outer)
                    .map(move |outer| (outer * block, kept))
                    .filter(|(_, length)| *length > 0),
            );
        };
        let rows = self.inner / causal.kv;
        Box::new((0..self.outer).flat_map(move |outer| {
            (0..self.kept_tokens).flat_map(move |token| {
                let visible = causal.kv.min(causal.first_position + token + 1);
                let start = outer * block + token * self.inner;
                (0..rows).map(move |row| (start + row * causal.kv, visible))
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(region: &Region) -> Vec<u64> {
        region
            .ranges()
            .flat_map(|(start, length)| start..start + length)
            .collect()
    }

    #[test]
    fn everything_by_default() {
        let region = Region::whole(&[2, 3], Some(0));
        assert_eq!(indices(&region), [0, 1, 2, 3, 4, 5]);
        assert!(region.is_whole());
        assert_eq!(Region::whole(&[4], None).count(), 4);
        assert_eq!(Region::whole(&[0, 4], Some(0)).count(), 0);
    }

    #[test]
    fn rows_before_the_inputs_part() {
        let region = Region::whole(&[3, 2], Some(0)).first_tokens(2);
        assert_eq!(indices(&region), [0, 1, 2, 3]);
        assert!(!region.is_whole());
        // Heads outermost: the kept positions lie in every head's block.
        let region = Region::whole(&[2, 3, 1], Some(1)).first_tokens(2);
        assert_eq!(indices(&region), [0, 1, 3, 4]);
        assert_eq!(Region::whole(&[3, 2], Some(0)).first_tokens(0).count(), 0);
    }

    #[test]
    fn masked_scores_are_left_out() {
        // Two tokens at positions 1 and 2, one head, three keys.
        let region = Region::whole(&[2, 1, 3], Some(0)).causal(3, 1);
        assert_eq!(indices(&region), [0, 1, 3, 4, 5]);
        // A single token sees its own position and all before: nothing is masked.
        let region = Region::whole(&[2, 4], None).causal(4, 3);
        assert!(region.is_whole());
        // Keys padded to 4 with only positions 0 and 1 there.
        let region = Region::whole(&[2, 4], None).causal(4, 1);
        assert_eq!(indices(&region), [0, 1, 4, 5]);
    }
}
