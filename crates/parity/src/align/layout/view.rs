//! Other orders of a tensor's elements.

use std::ops::Range;

/// A tensor's elements in another order, or a part of them: for each axis a length and a step in the source.
///
/// # Example
///
/// ```
/// use parity::align::layout::View;
/// // Two heads, three tokens, as tokens of heads.
/// let view = View::of(&[2, 3]).permuted(&[1, 0]);
/// let order: Vec<u64> = (0..6).map(|index| view.source_index(index)).collect();
/// assert_eq!(order, [0, 3, 1, 4, 2, 5]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    dims: Vec<usize>,
    strides: Vec<u64>,
    offset: u64,
}

impl View {
    /// A whole tensor as it lies, row-major.
    pub fn of(dims: &[usize]) -> Self {
        let mut strides = vec![1_u64; dims.len()];
        for axis in (0..dims.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1].saturating_mul(dims[axis + 1] as u64);
        }
        Self {
            dims: dims.to_vec(),
            strides,
            offset: 0,
        }
    }

    /// Lengths of the axes.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.dims.iter().map(|dim| *dim as u64).product()
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The axes in another order; `order[k]` is the axis that becomes axis `k`.
    ///
    /// # Panics
    ///
    /// When `order` names an axis that does not exist.
    pub fn permuted(&self, order: &[usize]) -> Self {
        Self {
            dims: order.iter().map(|axis| self.dims[*axis]).collect(),
            strides: order.iter().map(|axis| self.strides[*axis]).collect(),
            offset: self.offset,
        }
    }

    /// Only some places of an axis.
    ///
    /// # Panics
    ///
    /// When the axis does not exist or is shorter.
    pub fn sliced(&self, axis: usize, places: Range<usize>) -> Self {
        assert!(
            places.end <= self.dims[axis],
            "a slice lies inside its axis"
        );
        let mut view = self.clone();
        view.offset += places.start as u64 * self.strides[axis];
        view.dims[axis] = places.len();
        view
    }

    /// Without the axes of length 1 after the first axis; the last axis stays where it is asked for, and where there is no
    /// other.
    pub fn squeezed(&self, keep_last: bool) -> Self {
        let last = self.dims.len() - 1;
        let mut kept: Vec<usize> = (1..=last)
            .filter(|axis| self.dims[*axis] != 1 || keep_last && *axis == last)
            .collect();
        if kept.is_empty() && last > 0 {
            kept.push(last);
        }
        let order: Vec<usize> = [0].into_iter().chain(kept).collect();
        self.permuted(&order)
    }

    /// With a first axis of length 1 before all others.
    pub fn with_first_axis(&self) -> Self {
        let mut view = self.clone();
        view.dims.insert(0, 1);
        view.strides.insert(0, 0);
        view
    }

    /// The same elements, the axes from `from` on in other lengths; `None` where that would need a copy, or another number
    /// of elements.
    pub fn reshaped(&self, from: usize, dims: &[usize]) -> Option<Self> {
        let tail = View::of(&self.dims[from..]);
        let step = *self.strides[from..].last()?;
        let is_dense = (from..self.dims.len()).all(|axis| {
            self.dims[axis] == 1
                || self.strides[axis] == tail.strides[axis - from].saturating_mul(step)
        });
        let wanted = View::of(dims);
        if !is_dense || wanted.len() != tail.len() {
            return None;
        }
        let mut view = self.clone();
        view.dims.truncate(from);
        view.strides.truncate(from);
        view.dims.extend(dims);
        view.strides
            .extend(wanted.strides.iter().map(|stride| stride * step));
        Some(view)
    }

    /// True where both read the same elements in the same order.
    pub fn reads_as(&self, other: &Self) -> bool {
        let step = |view: &Self, axis: usize| (view.dims[axis] > 1).then_some(view.strides[axis]);
        self.offset == other.offset
            && self.dims == other.dims
            && (0..self.dims.len()).all(|axis| step(self, axis) == step(other, axis))
    }

    /// True where the elements follow each other in the source.
    pub fn is_contiguous(&self) -> bool {
        let plain = View::of(&self.dims);
        (0..self.dims.len())
            .all(|axis| self.dims[axis] <= 1 || self.strides[axis] == plain.strides[axis])
    }

    /// Where the first element lies in the source.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the element at a row-major index lies in the source.
    pub fn source_index(&self, index: u64) -> u64 {
        let (mut rest, mut source) = (index, self.offset);
        for (dim, stride) in self.dims.iter().zip(&self.strides).rev() {
            let dim = (*dim as u64).max(1);
            source += rest % dim * stride;
            rest /= dim;
        }
        source
    }

    /// One past the last place of the source that the view reads.
    pub fn source_end(&self) -> u64 {
        if self.is_empty() {
            return self.offset;
        }
        let last = |(dim, stride): (&usize, &u64)| (*dim as u64 - 1) * stride;
        self.offset + self.dims.iter().zip(&self.strides).map(last).sum::<u64>() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(view: &View) -> Vec<u64> {
        (0..view.len())
            .map(|index| view.source_index(index))
            .collect()
    }

    #[test]
    fn slices_and_reshapes() {
        // numpy: np.arange(24).reshape(2,3,4)[:, 1:3, :].reshape(2, 8)[1].tolist()
        let view = View::of(&[2, 3, 4]).sliced(1, 1..3);
        assert_eq!(order(&view)[8..], [16, 17, 18, 19, 20, 21, 22, 23]);
        let flat = view.reshaped(1, &[8]).unwrap();
        assert_eq!(order(&flat), order(&view));
        assert!(
            View::of(&[2, 3])
                .permuted(&[1, 0])
                .reshaped(0, &[6])
                .is_none()
        );
        assert!(view.reshaped(1, &[9]).is_none());
        // A slice of the innermost axis cannot be merged with the axis outside it.
        assert!(
            View::of(&[2, 4])
                .sliced(1, 0..2)
                .reshaped(0, &[4])
                .is_none()
        );
        assert!(View::of(&[5]).with_first_axis().is_contiguous());
        assert_eq!(View::of(&[3, 1, 4, 1]).squeezed(false).dims(), [3, 4]);
        assert_eq!(View::of(&[3, 1]).squeezed(false).dims(), [3, 1]);
    }

    proptest! {
        #[test]
        fn nothing_is_read_past_the_source(dims in proptest::collection::vec(1_usize..5, 1..4), swap in any::<bool>()) {
            let mut axes: Vec<usize> = (0..dims.len()).collect();
            if swap { axes.reverse(); }
            let view = View::of(&dims).permuted(&axes);
            let mut sources = order(&view);
            prop_assert_eq!(view.is_contiguous(), sources.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            prop_assert_eq!(sources.iter().max().map(|last| last + 1), Some(view.source_end()));
            sources.sort_unstable();
            prop_assert_eq!(sources, (0..view.len()).collect::<Vec<_>>(), "each element once");
        }
    }
}
