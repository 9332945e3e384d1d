//! The weights of a model, wherever they come from.

use super::blocks::Blocks;
use super::evaluate::multiply;
use super::hparams::Hparams;
use crate::error::Error;
use crate::tensor::Dense;
use std::ops::Range;
use std::sync::Arc;

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// In f64, of the weights widened from their storage type.
    F64,
    /// As ggml does it on a CPU: activations are rounded to the type that goes with the weight's (Q8_1 for Q4_1, f16
    /// for f16, …), keys and values to the cache's type, GELU is looked up in a table of f16, angles are f32.
    Engine,
    /// As candle does it on CPUs that add products of 8-bit integers (AVX-VNNI, AVX-512 VNNI): where a row is a multiple
    /// of 256, activations are rounded to Q8_K for weights in Q8_0 too. Of other products nothing is computed.
    LongBlocks,
    /// As candle does it on CPUs for weights in Q4_1 and Q5_1: ggml's, but that the sum of the rounded activations is rounded to
    /// f16 before it is multiplied with their step, too. Of other products nothing is computed.
    CandleSums,
    /// As ggml does it on CUDA for graphs of up to 8 tokens: activations are rounded to Q8_1 with steps in f16, and the floors of
    /// the weights' blocks multiply the sum of the activations before they were rounded; with one token and f16 weights, sums
    /// are in f16. Of other products nothing is computed, nor by the next two.
    CudaVectors,
    /// The same for graphs of more tokens, and as candle does it on CUDA for more than 8.
    CudaTiles,
    /// As candle does it on CUDA for up to 8 tokens, where that differs from ggml.
    CandleVectors,
}

impl Arithmetic {
    /// All, the cheapest first and the rarest last.
    pub(crate) const EVERY: [Self; 7] = [
        Self::F64,
        Self::Engine,
        Self::LongBlocks,
        Self::CandleSums,
        Self::CudaVectors,
        Self::CudaTiles,
        Self::CandleVectors,
    ];

    /// Those of CPUs, the cheapest first and the rarest last.
    const OF_CPUS: [Self; 4] = [Self::F64, Self::Engine, Self::LongBlocks, Self::CandleSums];

    /// Those of a run on CUDA.
    const OF_GPUS: [Self; 5] = [
        Self::F64,
        Self::Engine,
        Self::CudaVectors,
        Self::CudaTiles,
        Self::CandleVectors,
    ];

    /// All that an engine may compute with, on a GPU or not.
    pub fn all(on_gpu: bool) -> &'static [Self] {
        match on_gpu {
            true => &Self::OF_GPUS,
            false => &Self::OF_CPUS,
        }
    }

    /// True where it is an arithmetic of products with matrices, and everything else is computed as in f64.
    pub fn is_of_products(self) -> bool {
        !matches!(self, Self::F64 | Self::Engine)
    }

    /// `f64`, `engine`, `long blocks`, `candle sums`, `cuda vectors`, `cuda tiles` or `candle vectors`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::Engine => "engine",
            Self::LongBlocks => "long blocks",
            Self::CandleSums => "candle sums",
            Self::CudaVectors => "cuda vectors",
            Self::CudaTiles => "cuda tiles",
            Self::CandleVectors => "candle vectors",
        }
    }
}

/// A tensor of the model's file.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Outermost first: `[outputs, inputs]` of a matrix.
    pub shape: Vec<usize>,
    /// Widened from its storage type, row-major.
    pub data: Arc<[f32]>,
    /// Storage type by ggml's name: `f32`, `q4_1`.
    pub dtype: String,
}

/// The weights of a model.
///
/// The library does not read models; whoever does implements this.
pub trait Weights {
    /// The model's hyper-parameters.
    fn hparams(&self) -> &Hparams;

    /// A tensor by its name in the file, `blk.3.attn_q.weight`; `None` where there is none.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn tensor(&self, name: &str) -> Result<Option<Weight>, Error>;

    /// Some rows (indices of the outermost axis) of a tensor, in that order; `None` where it does not have them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn rows(&self, name: &str, rows: &[usize]) -> Result<Option<Weight>, Error> {
        let Some(whole) = self.tensor(name)? else {
            return Ok(None);
        };
        Ok(whole.take_rows(rows))
    }

    /// Some rows of the innermost dimension of a matrix, or of a stack of them, taken apart; `None` where there are no such
    /// rows, or they are not blocks of integers.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn blocks(&self, _name: &str, _rows: Range<usize>) -> Result<Option<Blocks>, Error> {
        Ok(None)
    }

    /// Rows of `x` times the transpose of a matrix `[outputs, inputs]`; `None` where there is no such tensor or it has
    /// other dimensions. The arithmetic is `f64` or `engine`: others are made of these and of [`Weights::blocks`].
    ///
    /// # Shape
    ///
    /// `x` has rows of `inputs` elements, whatever its axes are; the result is `[rows, outputs]`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn matmul(
        &self,
        weight: &str,
        x: &Dense,
        arithmetic: Arithmetic,
    ) -> Result<Option<Dense>, Error>;

    /// As [`Weights::matmul`] with one matrix of a stack `[experts, outputs, inputs]`.
    ///
    /// Unless overridden, in f64 whatever the arithmetic.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn expert_matmul(
        &self,
        weight: &str,
        expert: usize,
        x: &Dense,
        _arithmetic: Arithmetic,
    ) -> Result<Option<Dense>, Error> {
        let Some(slice) = self.rows(weight, &[expert])? else {
            return Ok(None);
        };
        let inputs = slice.shape.last().copied().unwrap_or(0);
        if slice.shape.len() != 3 || inputs != x.row_len() {
            return Ok(None);
        }
        Ok(Some(Dense {
            shape: vec![x.n_rows(), slice.shape[1]],
            data: multiply(&x.data, inputs, &slice.data),
        }))
    }
}

impl Weight {
    /// Elements of one row.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Some rows in that order; `None` where it does not have them.
    pub fn take_rows(&self, rows: &[usize]) -> Option<Self> {
        let len = self.row_len();
        let mut data = Vec::with_capacity(rows.len() * len);
        for row in rows {
            data.extend_from_slice(self.data.get(row * len..(row + 1) * len)?);
        }
        let mut shape = self.shape.clone();
        *shape.first_mut()? = rows.len();
        Some(Self {
            shape,
            data: data.into(),
            dtype: self.dtype.clone(),
        })
    }
}
