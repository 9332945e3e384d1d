//! Products as kernels compute them that are not ggml's for CPUs.
//!
//! On CUDA activations become 8-bit integers with one step for 32 of them (Q8_1), rounded to f16 or not, beside the sum of these activations
//! *before* they were rounded, in f16: what the floors of the weights' blocks are multiplied with. Errors of the rounded activations
//! then do not cancel against the floors, which makes these products up to three times as coarse as a CPU's.

mod activations;
mod half_sums;
mod kernel;
mod product;

use super::Failure;
use crate::recompute::doubt::Step;
use crate::recompute::weights::{Arithmetic, Weights};
use crate::tensor::Dense;
use kernel::Kernel;
use std::ops::Range;

/// Elements of a matrix that are in memory at once.
const ELEMENTS: usize = 4 << 20;

/// Rows of `x` times the transpose of some rows of a matrix, as the kernel of an arithmetic computes it.
///
/// # Errors
///
/// [`Failure::NotEmulated`] where this kernel is not one for the matrix' type.
pub(super) fn kernel_product(
    weights: &dyn Weights,
    arithmetic: Arithmetic,
    name: &str,
    rows: Range<usize>,
    x: &Dense,
) -> Result<Dense, Failure> {
    let inputs = x.row_len();
    let info = weights.hparams().tensors.get(name);
    let info = info.ok_or_else(|| Failure::NoWeight(name.to_owned()))?;
    if info.shape.last() != Some(&inputs) || inputs == 0 {
        return Err(Failure::Shape(format!(
            "`{name}` does not take rows of {inputs} elements"
        )));
    }
    let not_emulated = || Failure::NotEmulated(format!("{} as {}", info.dtype, arithmetic.name()));
    let kernel = Kernel::of(arithmetic, &info.dtype).ok_or_else(not_emulated)?;
    let narrow: Vec<f32> = x.data.iter().map(|x| *x as f32).collect();
    let outputs = rows.len();
    let mut out = vec![0.0; x.n_rows() * outputs];
    let step = (ELEMENTS / inputs).max(1);
    let mut rounded = None;
    for first in rows.clone().step_by(step) {
        let part = first..rows.end.min(first + step);
        let values = match &kernel {
            Kernel::HalfSums => {
                let matrix = matrix_rows(weights, name, part.clone())?;
                half_sums::product(&narrow, inputs, &matrix)
            }
            Kernel::Integers(integers) => {
                let blocks = weights.blocks(name, part.clone())?;
                let blocks = blocks.ok_or_else(not_emulated)?;
                let rounded =
                    rounded.get_or_insert_with(|| integers.round(&narrow, inputs, blocks.len));
                product::product(integers, rounded, &blocks)
            }
        };
        let len = part.len();
        let at = part.start - rows.start;
        for (row, values) in values.chunks_exact(len.max(1)).enumerate() {
            out[row * outputs + at..][..len].copy_from_slice(values);
        }
    }
    Ok(Dense {
        shape: vec![x.n_rows(), outputs],
        data: out,
    })
}

/// Rows of the innermost dimension of a matrix or of a stack of them, widened.
fn matrix_rows(weights: &dyn Weights, name: &str, rows: Range<usize>) -> Result<Vec<f32>, Failure> {
    let missing = || Failure::NoWeight(name.to_owned());
    let whole = weights.tensor(name)?.ok_or_else(missing)?;
    let inputs = whole.shape.last().copied().unwrap_or(0);
    let part = whole.data.get(rows.start * inputs..rows.end * inputs);
    part.map(<[f32]>::to_vec).ok_or_else(missing)
}

/// How an arithmetic rounds activations to integers for weights of a storage type; `None` where it does not.
///
/// # Source
///
/// ggml's `vec_dot_type` of each type on CPUs.
pub(in crate::recompute) fn step_of(arithmetic: Arithmetic, dtype: &str) -> Option<Step> {
    let dtype = dtype.to_ascii_lowercase();
    match arithmetic {
        Arithmetic::F64 => None,
        Arithmetic::LongBlocks => Some(Step::LONG),
        Arithmetic::Engine => match dtype.as_str() {
            "q4_0" | "q4_1" | "q5_0" | "q5_1" | "q8_0" | "iq4_nl" => Some(Step {
                len: 32,
                is_half: true,
            }),
            k if k.ends_with("_k") || k.starts_with("iq") => Some(Step::LONG),
            _ => None,
        },
        _ => match Kernel::of(arithmetic, &dtype)? {
            Kernel::HalfSums => None,
            Kernel::Integers(integers) => Some(Step {
                len: integers.step_len,
                is_half: integers.half_steps,
            }),
        },
    }
}

/// Whether an arithmetic is one of this module's.
pub(super) fn has_kernel(arithmetic: Arithmetic) -> bool {
    matches!(
        arithmetic,
        Arithmetic::CudaVectors
            | Arithmetic::CudaTiles
            | Arithmetic::CandleVectors
            | Arithmetic::CandleSums
    )
}
