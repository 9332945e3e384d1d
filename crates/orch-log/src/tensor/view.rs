//! A borrowed tensor: elements, shape, strides.

use super::Element;

/// The most axes that a view can have.
pub const MAX_NDIM: usize = 8;

/// Elements gathered at a time; a multiple of the sketch's block.
pub(crate) const CHUNK: usize = 1024;

/// A borrowed tensor in any layout: contiguous, strided, reversed or broadcast.
///
/// Elements are always logged in logical (row-major) order. A view that could reach outside its
/// data cannot be built.
///
/// # Example
///
/// ```
/// use orch_log::TensorView;
/// let data = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
/// // The transpose of a 2×3 matrix: shape [3, 2], strides [1, 3].
/// let view = TensorView::strided(&data, &[3, 2], &[1, 3], 0).expect("inside the data");
/// assert_eq!(view.iter().collect::<Vec<_>>(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a, T> {
    data: &'a [T],
    shape: [usize; MAX_NDIM],
    strides: [isize; MAX_NDIM],
    ndim: usize,
    offset: usize,
    len: usize,
    contiguous: bool,
}

impl<'a, T: Element> TensorView<'a, T> {
    /// A one-dimensional view of a slice.
    pub fn new(data: &'a [T]) -> Self {
        let mut shape = [0; MAX_NDIM];
        let mut strides = [0; MAX_NDIM];
        shape[0] = data.len();
        strides[0] = 1;
        Self {
            data,
            shape,
            strides,
            ndim: 1,
            offset: 0,
            len: data.len(),
            contiguous: true,
        }
    }

    /// A row-major view; `None` when the shape has another number of elements than `data`, or
    /// more than [`MAX_NDIM`] axes.
    pub fn shaped(data: &'a [T], shape: &[usize]) -> Option<Self> {
        let mut strides = [0isize; MAX_NDIM];
        let mut stride = 1usize;
        for (axis, dim) in shape.iter().enumerate().rev() {
            *strides.get_mut(axis)? = isize::try_from(stride).ok()?;
            stride = stride.checked_mul(*dim)?;
        }
        if stride != data.len() {
            return None;
        }
        Self::strided(data, shape, &strides[..shape.len()], 0)
    }

    /// A view with strides in elements, which may be negative (reversed) or 0 (broadcast), from
    /// element `offset` on. `None` when it would reach outside `data`, when shape and strides
    /// differ in length, or with more than [`MAX_NDIM`] axes.
    pub fn strided(
        data: &'a [T],
        shape: &[usize],
        strides: &[isize],
        offset: usize,
    ) -> Option<Self> {
        if shape.len() > MAX_NDIM || shape.len() != strides.len() {
            return None;
        }
        let mut len = 1usize;
        for dim in shape {
            len = len.checked_mul(*dim)?;
        }
        let (mut lowest, mut highest) = (offset as i128, offset as i128);
        for (dim, stride) in shape.iter().zip(strides) {
            let reach = (*dim as i128 - 1) * *stride as i128;
            if reach < 0 {
                lowest += reach
            } else {
                highest += reach
            }
        }
        if len > 0 && (lowest < 0 || highest >= data.len() as i128) {
            return None;
        }
        let mut view = Self {
            data,
            shape: [0; MAX_NDIM],
            strides: [0; MAX_NDIM],
            ndim: shape.len(),
            offset,
            len,
            contiguous: false,
        };
        view.shape[..shape.len()].copy_from_slice(shape);
        view.strides[..shape.len()].copy_from_slice(strides);
        view.contiguous = len == 0 || view.row_major();
        Some(view)
    }

    /// Outermost dimension first.
    pub fn shape(&self) -> &[usize] {
        &self.shape[..self.ndim]
    }

    /// Strides in elements.
    pub fn strides(&self) -> &[isize] {
        &self.strides[..self.ndim]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements as one slice, where they lie in logical order without gaps.
    pub fn as_slice(&self) -> Option<&'a [T]> {
        if self.len == 0 {
            return Some(&[]);
        }
        self.contiguous
            .then(|| &self.data[self.offset..self.offset + self.len])
    }

    /// The elements in logical order.
    pub fn iter(&self) -> impl Iterator<Item = T> + 'a {
        let view = *self;
        let mut index = [0usize; MAX_NDIM];
        let mut at = self.offset as isize;
        let mut left = self.len;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            left -= 1;
            let value = view.data[at as usize];
            for axis in (0..view.ndim).rev() {
                index[axis] += 1;
                at = at.wrapping_add(view.strides[axis]);
                if index[axis] < view.shape[axis] {
                    break;
                }
                at = at.wrapping_sub(view.strides[axis].wrapping_mul(view.shape[axis] as isize));
                index[axis] = 0;
            }
            Some(value)
        })
    }

    /// Hands all elements to `work` in logical order: at once where they lie so, otherwise gathered into pieces
    /// of [`CHUNK`] elements (the last may be shorter).
    pub(crate) fn try_chunks<E>(
        &self,
        mut work: impl FnMut(&[T]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(slice) = self.as_slice() {
            return work(slice);
        }
        let mut elements = self.iter();
        let mut chunk = [self.data[self.offset]; CHUNK];
        let mut left = self.len;
        while left > 0 {
            let count = left.min(CHUNK);
            for (to, from) in chunk[..count].iter_mut().zip(&mut elements) {
                *to = from;
            }
            work(&chunk[..count])?;
            left -= count;
        }
        Ok(())
    }

    fn row_major(&self) -> bool {
        let mut expected = 1isize;
        for axis in (0..self.ndim).rev() {
            if self.shape[axis] != 1 && self.strides[axis] != expected {
                return false;
            }
            expected = expected.wrapping_mul(self.shape[axis] as isize);
        }
        true
    }
}

impl<'a, T: Element> From<&'a [T]> for TensorView<'a, T> {
    fn from(data: &'a [T]) -> Self {
        Self::new(data)
    }
}

impl<'a, T: Element> From<&'a Vec<T>> for TensorView<'a, T> {
    fn from(data: &'a Vec<T>) -> Self {
        Self::new(data)
    }
}

impl<'a, T: Element, const N: usize> From<&'a [T; N]> for TensorView<'a, T> {
    fn from(data: &'a [T; N]) -> Self {
        Self::new(data)
    }
}

impl<'a, T: Element> From<&TensorView<'a, T>> for TensorView<'a, T> {
    fn from(view: &TensorView<'a, T>) -> Self {
        *view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logical_order() {
        let data: Vec<i32> = (0..24).collect();
        let reversed = TensorView::strided(&data, &[4], &[-2], 7).expect("7, 5, 3, 1 exist");
        assert_eq!(reversed.iter().collect::<Vec<_>>(), [7, 5, 3, 1]);
        let broadcast = TensorView::strided(&data, &[2, 2], &[0, 1], 3).expect("3, 4 exist");
        assert_eq!(broadcast.iter().collect::<Vec<_>>(), [3, 4, 3, 4]);
        let permuted =
            TensorView::strided(&data, &[3, 2, 4], &[4, 12, 1], 0).expect("a permutation");
        assert_eq!(
            permuted.iter().take(9).collect::<Vec<_>>(),
            [0, 1, 2, 3, 12, 13, 14, 15, 4]
        );
        assert_eq!(permuted.iter().count(), 24);
        let scalar = TensorView::strided(&data, &[], &[], 5).expect("one element");
        assert_eq!(scalar.iter().collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn contiguity_is_seen() {
        let data: Vec<i32> = (0..6).collect();
        let rows = TensorView::shaped(&data, &[2, 3]).expect("six elements");
        assert_eq!(rows.as_slice(), Some(&data[..]));
        let last_row = TensorView::strided(&data, &[1, 3], &[99, 1], 3)
            .expect("the stride of a 1-dim is idle");
        assert_eq!(last_row.as_slice(), Some(&data[3..]));
        let column = TensorView::strided(&data, &[2], &[3], 0).expect("0 and 3 exist");
        assert_eq!(column.as_slice(), None);
    }

    #[test]
    fn what_reaches_outside_is_refused() {
        let data = [0u8; 6];
        assert!(TensorView::shaped(&data, &[7]).is_none());
        assert!(TensorView::shaped(&data, &[usize::MAX, 2]).is_none());
        assert!(TensorView::strided(&data, &[6], &[1], 1).is_none());
        assert!(TensorView::strided(&data, &[3], &[-1], 1).is_none());
        assert!(TensorView::strided(&data, &[2], &[isize::MAX], 0).is_none());
        assert!(TensorView::strided(&data, &[usize::MAX, usize::MAX], &[0, 0], 0).is_none());
        assert!(TensorView::strided(&data, &[1; 9], &[0; 9], 0).is_none());
        assert!(
            TensorView::strided(&data, &[0, 5], &[isize::MIN, 77], 99)
                .is_some_and(|view| view.is_empty())
        );
    }
}
