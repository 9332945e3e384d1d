//! What a figure rests on.

/// Which evidence a figure was computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Basis {
    /// All compared elements of both tensors.
    Exact {
        /// Elements compared.
        elements: u64,
    },
    /// The first elements of both tensors.
    First {
        /// Elements compared.
        elements: u64,
        /// Elements of the tensor that should have been compared.
        of: u64,
    },
    /// Estimated for the whole tensor from the two sketches.
    Sketch {
        /// Uncertainty of the figure at two standard deviations, relative.
        plus_minus: f64,
        /// Elements of the tensor.
        of: u64,
    },
    /// A proven lower bound for the whole tensor, from the two records' statistics.
    AtLeast {
        /// Elements of the tensor.
        of: u64,
    },
}

impl Basis {
    /// True where the figure covers every element that was to be compared.
    pub fn is_exact(&self) -> bool {
        matches!(self, Self::Exact { .. })
    }
}
