//! Traces in memory, for rules.

use super::noise as narrow_noise;
use parity::explain::Tensors;
use parity::tensor::Dense;
use std::collections::BTreeMap;
use std::ops::Range;

/// A trace in memory: one pass from position `first` on.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    first: i64,
    tensors: BTreeMap<String, Dense>,
}

impl Memory {
    pub(crate) fn from_position(first: i64) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, name: &str, shape: &[usize], data: Vec<f64>) -> Self {
        let dense = Dense::new(shape.to_vec(), data).expect("as many numbers as the shape has");
        self.tensors.insert(name.to_owned(), dense);
        self
    }
}

impl Tensors for Memory {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn passes(&self, checkpoint: &str) -> Vec<Range<i64>> {
        let rows = self.tensors.get(checkpoint).map(Dense::n_rows);
        rows.map(|rows| self.first..self.first + rows as i64)
            .into_iter()
            .collect()
    }

    fn rows(&self, checkpoint: &str, tokens: Range<i64>) -> Option<Dense> {
        let dense = self.tensors.get(checkpoint)?;
        let (start, end) = (tokens.start - self.first, tokens.end - self.first);
        (start >= 0 && end <= dense.n_rows() as i64)
            .then(|| dense.rows_in(start as usize..end as usize))
    }
}

/// Numbers that look random and are the same everywhere, as f32 engines have them.
pub(crate) fn noise(seed: u64, n: usize) -> Vec<f64> {
    narrow_noise(seed, n).into_iter().map(f64::from).collect()
}

/// Rounded as f32 engines would.
pub(crate) fn single(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|x| f64::from(x as f32)).collect()
}
