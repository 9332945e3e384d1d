//! A quantised matrix taken apart.

/// Rows of a quantised matrix: element = floor of its block + scale of its block × integer.
///
/// # Shape
///
/// Blocks do not reach past a row: `inputs` is a multiple of `len`. The integers of types whose kernels subtract a constant first
/// (ggml's Q3_K, Q6_K, Q8_0) are signed, and their floors 0; those of Q4_0 and Q5_0 count from 0, and their floors are -8 and -16
/// scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Elements of a row.
    pub inputs: usize,
    /// Elements of a block.
    pub len: usize,
    /// One for each block, row after row.
    pub scales: Vec<f32>,
    /// The same.
    pub floors: Vec<f32>,
    /// One for each element.
    pub integers: Vec<i8>,
}
