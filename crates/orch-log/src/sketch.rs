//! Sixteen inner products with fixed random signs: a whole tensor's distance to another from 16 numbers.

/// Inner products in a sketch.
pub const PROJECTIONS: usize = 16;

/// A sketch of a tensor, see `spec/trace-format.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sketch {
    /// The inner products.
    pub s: [f64; PROJECTIONS],
}

impl Sketch {
    /// Estimate of the tensor's Euclidean norm.
    pub fn norm(&self) -> f64 {
        (self.s.iter().map(|sum| sum * sum).sum::<f64>() / PROJECTIONS as f64).sqrt()
    }

    /// Estimate of the Euclidean norm of the difference of two tensors of the same length.
    pub fn distance(&self, other: &Self) -> f64 {
        let mut difference = *self;
        difference
            .s
            .iter_mut()
            .zip(&other.s)
            .for_each(|(to, from)| *to -= from);
        difference.norm()
    }
}
