//! Which kernel rounds what.

use crate::recompute::weights::Arithmetic;

/// A way to compute a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Sums in f16.
    HalfSums,
    /// Products of integers.
    Integers(Integers),
}

/// What a kernel that multiplies integers rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Integers {
    /// Whether activations are divided by their step, or multiplied with its inverse: which of two integers is nearer may
    /// hang on it.
    pub(super) divides: bool,
    /// Activations that share a step.
    pub(super) step_len: usize,
    /// Whether steps are kept in f16.
    pub(super) half_steps: bool,
    /// Whether scales and floors of blocks of the weights are products that were rounded to f16.
    pub(super) half_scales: bool,
    /// Whether the product of scale and step, and that of floor and sum, are rounded to f16.
    pub(super) half_products: bool,
    /// What floors are multiplied with.
    pub(super) sums: Sums,
}

/// A sum of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// Of the rounded ones.
    Rounded,
    /// The same, as a number of f16 times the step, and in f16 again.
    RoundedInHalf,
    /// Of those before rounding, kept in f16.
    Whole,
    /// Of 128 activations the first 96 so, the last 32 rounded.
    WholeOf96,
}

impl Kernel {
    /// The kernel of an arithmetic for a storage type; `None` where there is none, or another arithmetic's does the same.
    ///
    /// # Source
    ///
    /// ggml's CUDA backend: `ggml_cuda_mul_mat` takes the vector kernels (`mmvq.cu`) for up to 8 tokens and the tiled ones
    /// (`mmq.cuh`, on tensor cores) for more; `quantize.cu`, `vecdotq.cuh`, `mmq-load-tiles.cuh`. One token with f16 weights goes to
    /// `mmvf.cu`. candle 0.11's kernels (`mmvq_gguf.cu`, `mmq_gguf`) are made after these; its vector kernel for Q4_1 and Q5_1
    /// multiplies in f32 where ggml's multiplies in f16. On CPUs its `BlockQ8_1` sums as [`Sums::RoundedInHalf`].
    pub(super) fn of(arithmetic: Arithmetic, dtype: &str) -> Option<Self> {
        let dtype = dtype.to_ascii_lowercase();
        let integers = match (arithmetic, dtype.as_str()) {
            (Arithmetic::CudaVectors, "f16") => return Some(Self::HalfSums),
            (Arithmetic::CudaVectors, "q4_1" | "q5_1") => Integers {
                half_products: true,
                ..Integers::VECTORS
            },
            (Arithmetic::CandleVectors, "q4_1" | "q5_1")
            | (Arithmetic::CudaVectors, "q4_0" | "q5_0") => Integers::VECTORS,
            (Arithmetic::CudaVectors, "q8_0" | "q2_k" | "q3_k" | "q4_k" | "q5_k" | "q6_k") => {
                Integers {
                    sums: Sums::Rounded,
                    ..Integers::VECTORS
                }
            }
            (Arithmetic::CandleSums, "q4_1" | "q5_1") => Integers {
                sums: Sums::RoundedInHalf,
                ..Integers::VECTORS
            },
            (Arithmetic::CudaTiles, "q4_0") => Integers {
                half_steps: true,
                ..Integers::TILES
            },
            (Arithmetic::CudaTiles, "q5_0" | "q8_0" | "q3_k" | "q6_k") => Integers::TILES,
            (Arithmetic::CudaTiles, "q4_1" | "q5_1") => Integers {
                half_steps: true,
                sums: Sums::Whole,
                ..Integers::TILES
            },
            (Arithmetic::CudaTiles, "q4_k" | "q5_k") => Integers {
                half_steps: true,
                half_scales: true,
                sums: Sums::Whole,
                ..Integers::TILES
            },
            (Arithmetic::CudaTiles, "q2_k") => Integers {
                step_len: 64,
                half_steps: true,
                half_scales: true,
                sums: Sums::WholeOf96,
                ..Integers::TILES
            },
            _ => return None,
        };
        Some(Self::Integers(integers))
    }
}

impl Integers {
    const VECTORS: Self = Self {
        divides: true,
        step_len: 32,
        half_steps: true,
        half_scales: false,
        half_products: false,
        sums: Sums::Whole,
    };

    const TILES: Self = Self {
        divides: false,
        step_len: 32,
        half_steps: false,
        half_scales: false,
        half_products: false,
        sums: Sums::Rounded,
    };
}
