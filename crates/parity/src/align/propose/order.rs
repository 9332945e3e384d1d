//! Whether two traces log their names in the same order, and where a name is then to be expected.

/// Places of the candidate's names by the reference's, from pairs that are sure without it.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// (place in the reference, place in the candidate), both ascending.
    anchors: Vec<(usize, usize)>,
}

impl Expected {
    /// Fewer sure pairs prove no order.
    const ANCHORS: usize = 8;

    /// Share of the sure pairs that must keep the order: engines log Q, K and V in any order, but not layers.
    const IN_ORDER: f64 = 0.8;

    /// Places that a name may lie elsewhere without being doubted.
    const SLACK: f64 = 3.0;

    /// What each further place multiplies the score by, as a natural logarithm.
    const DOUBT: f64 = 0.1;

    /// Beyond this many places nothing more is doubted.
    const FARTHEST: f64 = 40.0;

    /// `None` where the order of one trace says nothing about that of the other. `sure` ascends in the reference.
    pub(super) fn of(sure: &[(usize, usize)]) -> Option<Self> {
        let anchors = longest_ascending(sure);
        let share = anchors.len() as f64 / sure.len().max(1) as f64;
        (sure.len() >= Self::ANCHORS && share >= Self::IN_ORDER).then_some(Self { anchors })
    }

    /// What to multiply a pair's score by: 1 where it lies where it should.
    pub(super) fn doubt(&self, reference: usize, candidate: usize) -> f64 {
        let places = (candidate as f64 - self.place(reference)).abs() - Self::SLACK;
        (Self::DOUBT * places.clamp(0.0, Self::FARTHEST)).exp()
    }

    /// Interpolated between the nearest sure pairs.
    fn place(&self, reference: usize) -> f64 {
        let at = self
            .anchors
            .partition_point(|(place, _)| *place < reference);
        let float = |(a, b): (usize, usize)| (a as f64, b as f64);
        let x = reference as f64;
        match (
            at.checked_sub(1).map(|at| float(self.anchors[at])),
            self.anchors.get(at),
        ) {
            (Some((x0, y0)), Some(after)) => {
                let (x1, y1) = float(*after);
                y0 + (x - x0) / (x1 - x0) * (y1 - y0)
            }
            (Some((x0, y0)), None) => y0 + (x - x0),
            (None, Some(after)) => {
                let (x1, y1) = float(*after);
                y1 - (x1 - x)
            }
            (None, None) => x,
        }
    }
}

/// The longest part of the pairs whose second places ascend too (patience sorting).
fn longest_ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, place)) in pairs.iter().enumerate() {
        let at = ends.partition_point(|end| pairs[*end].1 < *place);
        before.push(at.checked_sub(1).map(|at| ends[at]));
        if at == ends.len() {
            ends.push(index);
        } else {
            ends[at] = index;
        }
    }
    let mut chain = Vec::new();
    let mut next = ends.last().copied();
    while let Some(index) = next {
        chain.push(pairs[index]);
        next = before[index];
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_ascending_part() {
        // By hand: 3 falls out of 0 1 3 2 4 as well as 2 would.
        let chain = longest_ascending(&[(0, 0), (1, 1), (2, 3), (3, 2), (4, 4)]);
        assert_eq!(chain.len(), 4);
        assert!(chain.windows(2).all(|pair| pair[0].1 < pair[1].1));
        assert!(longest_ascending(&[]).is_empty());
    }

    #[test]
    fn an_order_is_used_only_where_there_is_one() {
        let straight: Vec<(usize, usize)> = (0..20).map(|place| (2 * place, 3 * place)).collect();
        let expected = Expected::of(&straight).expect("an order");
        assert_eq!(expected.place(7), 10.5);
        assert_eq!(expected.doubt(7, 11), 1.0);
        // 20 places beyond the slack of 3.
        assert!((expected.doubt(6, 32) - 2.0_f64.exp()).abs() < 1e-12);
        let reversed: Vec<(usize, usize)> = (0..20).map(|place| (place, 20 - place)).collect();
        assert!(Expected::of(&reversed).is_none());
        assert!(Expected::of(&straight[..7]).is_none());
    }
}
