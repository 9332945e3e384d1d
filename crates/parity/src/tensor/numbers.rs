//! Where a tensor's elements come from.

use crate::error::Error;

/// A tensor's elements from the first on, in row-major order, as far as they are known.
pub trait Numbers {
    /// How many elements can be read.
    fn available(&self) -> u64;

    /// Appends `count` elements from row-major index `first` on to `out`.
    ///
    /// # Errors
    ///
    /// When the file that holds them cannot be read.
    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), Error>;
}

impl Numbers for &[f64] {
    fn available(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), Error> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let rest = self.get(first..).unwrap_or_default();
        out.extend_from_slice(&rest[..count.min(rest.len())]);
        Ok(())
    }
}
