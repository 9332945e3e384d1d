//! A tensor that is wholly in memory.

use super::shape::element_count;
use std::ops::Range;

/// All elements of a tensor in row-major order, the outermost dimension first.
///
/// # Shape
///
/// Of a captured tensor, axis 0 holds the tokens: `[tokens, ...]`. A "row" is everything that belongs to one index
/// of axis 0.
///
/// # Example
///
/// ```
/// use parity::tensor::Dense;
/// let x = Dense::new(vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
/// assert_eq!(x.row(1), [3.0, 4.0, 5.0]);
/// assert_eq!(x.rows_in(1..2).shape, [1, 3]);
/// assert!(Dense::new(vec![2, 2], vec![0.0; 3]).is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dense {
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Row-major; as many as the shape promises.
    pub data: Vec<f64>,
}

impl Dense {
    /// A tensor of these elements; `None` where the shape promises another number of them.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Option<Self> {
        (element_count(&shape) == Some(data.len() as u64)).then_some(Self { shape, data })
    }

    /// Zeros.
    pub fn zeros(shape: Vec<usize>) -> Self {
        let count = shape.iter().product();
        Self {
            shape,
            data: vec![0.0; count],
        }
    }

    /// Length of axis 0; 1 for a scalar.
    pub fn n_rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements of one row.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Length of the innermost axis; 1 for a scalar.
    pub fn last_len(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row(&self, index: usize) -> &[f64] {
        let len = self.row_len();
        &self.data[index * len..][..len]
    }

    /// Some rows, copied.
    ///
    /// # Panics
    ///
    /// When there are no such rows.
    pub fn rows_in(&self, rows: Range<usize>) -> Self {
        let len = self.row_len();
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows.len();
        }
        Self {
            shape,
            data: self.data[rows.start * len..rows.end * len].to_vec(),
        }
    }

    /// The same elements under another shape; `None` where it promises another number of them.
    pub fn reshaped(mut self, shape: Vec<usize>) -> Option<Self> {
        (element_count(&shape) == Some(self.data.len() as u64)).then(|| {
            self.shape = shape;
            self
        })
    }

    /// Every element through `f`.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            shape: self.shape.clone(),
            data: self.data.iter().map(|x| f(*x)).collect(),
        }
    }

    /// Elements of equal index through `f`; `None` where the numbers of elements differ.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Option<Self> {
        (self.data.len() == other.data.len()).then(|| Self {
            shape: self.shape.clone(),
            data: self
                .data
                .iter()
                .zip(&other.data)
                .map(|(a, b)| f(*a, *b))
                .collect(),
        })
    }
}
