//! Single elements that stand out.

/// One element of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Element {
    /// Row-major index in the whole tensor.
    pub index: u64,
    /// The reference's value.
    pub reference: f64,
    /// The candidate's value.
    pub candidate: f64,
}

impl Element {
    /// |candidate − reference|, infinite where only one of the two is finite or the infinities
    /// differ, zero where both are NaN or the same infinity.
    pub fn difference(&self) -> f64 {
        let difference = (self.candidate - self.reference).abs();
        if !difference.is_nan() {
            difference
        } else if self.reference.is_nan() && self.candidate.is_nan()
            || self.reference == self.candidate
        {
            0.0
        } else {
            f64::INFINITY
        }
    }
}

/// The elements with the largest differences, largest first; of equal differences the first indices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worst {
    elements: [Element; Worst::KEPT],
    /// Their differences: each is compared more often than it is worked out.
    differences: [f64; Worst::KEPT],
    kept: u8,
}

impl Worst {
    /// How many are kept.
    pub const KEPT: usize = 5;

    /// Takes the element in if its difference is among the largest and not zero.
    pub fn offer(&mut self, element: Element) {
        let difference = element.difference();
        if difference == 0.0 || self.is_full_of_larger(difference) {
            return;
        }
        let mut at = self.elements().len();
        self.kept = (at + 1).min(Self::KEPT) as u8;
        at = at.min(Self::KEPT - 1);
        while at > 0 && self.differences[at - 1] < difference {
            self.elements[at] = self.elements[at - 1];
            self.differences[at] = self.differences[at - 1];
            at -= 1;
        }
        self.elements[at] = element;
        self.differences[at] = difference;
    }

    /// True where an element of this difference, later than all seen, would not be taken in.
    pub fn is_full_of_larger(&self, difference: f64) -> bool {
        self.smallest() >= difference && difference != 0.0
    }

    /// The difference that a later element must exceed to be taken in.
    pub(super) fn smallest(&self) -> f64 {
        // Zero until all places are taken.
        self.differences[Self::KEPT - 1]
    }

    /// Takes in what a later part of the same tensor kept.
    pub fn merge(&mut self, later: &Self) {
        if self.kept == 0 {
            *self = *later;
            return;
        }
        for element in later.elements() {
            self.offer(*element);
        }
    }

    /// The elements, largest difference first.
    pub fn elements(&self) -> &[Element] {
        &self.elements[..usize::from(self.kept)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(index: u64, reference: f64, candidate: f64) -> Element {
        Element {
            index,
            reference,
            candidate,
        }
    }

    #[test]
    fn non_finite_values_are_settled_first() {
        let inf = f64::INFINITY;
        assert_eq!(element(0, f64::NAN, f64::NAN).difference(), 0.0);
        assert_eq!(element(0, inf, inf).difference(), 0.0);
        assert_eq!(element(0, inf, -inf).difference(), inf);
        assert_eq!(element(0, f64::NAN, 1.0).difference(), inf);
        assert_eq!(element(0, 1.0, f64::NAN).difference(), inf);
        assert_eq!(element(0, f64::NAN, inf).difference(), inf);
        assert_eq!(element(0, 1.0, -2.0).difference(), 3.0);
    }

    #[test]
    fn keeps_the_five_largest_in_order() {
        let mut worst = Worst::default();
        for (index, difference) in [1.0, 5.0, 0.0, 3.0, 5.0, 2.0, 4.0, f64::NAN]
            .iter()
            .enumerate()
        {
            worst.offer(element(index as u64, 0.0, *difference));
        }
        let kept: Vec<u64> = worst
            .elements()
            .iter()
            .map(|element| element.index)
            .collect();
        assert_eq!(kept, [7, 1, 4, 6, 3]);
    }
}
