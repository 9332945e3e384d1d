//! Matrix products with a model's weights.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Result, Tensor};

use crate::place::Place;

/// A weight matrix, `[out, in]`, as it came out of the file or as plain f32.
pub enum Matrix {
    /// In its storage type.
    Stored(QTensor),
    /// Dequantised.
    Dense(Tensor),
}

impl Matrix {
    /// The matrix in f32.
    ///
    /// # Errors
    ///
    /// When it cannot be dequantised.
    pub fn into_dense(self) -> Result<Tensor> {
        match self {
            Self::Stored(stored) => stored.dequantize(&stored.device()),
            Self::Dense(dense) => Ok(dense),
        }
    }
}

/// A matrix product with an optional bias.
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

enum Weight {
    Dense(Tensor),
    Quantised(QMatMul),
}

impl Linear {
    /// Prepares a product at `place` with `matrix`, in its storage type when `quantised`, else in the place's.
    ///
    /// # Errors
    ///
    /// When the matrix cannot be dequantised.
    pub fn new(
        matrix: Matrix,
        bias: Option<Tensor>,
        quantised: bool,
        place: &Place,
    ) -> Result<Self> {
        let weight = match matrix {
            Matrix::Stored(stored) if quantised => {
                let stored = on_device(stored, &place.device)?;
                Weight::Quantised(QMatMul::from_arc(Arc::new(stored))?)
            }
            other => Weight::Dense(place.bring(&other.into_dense()?)?),
        };
        Ok(Self { weight, bias })
    }

    /// A product with a matrix in f32 that something else uses too, without bias.
    pub fn shared(matrix: Tensor) -> Self {
        Self {
            weight: Weight::Dense(matrix),
            bias: None,
        }
    }

    /// What is added to the product.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// `x · weightᵀ + bias`.
    ///
    /// # Shape
    ///
    /// `[rows, in]` to `[rows, out]`.
    ///
    /// # Errors
    ///
    /// When the widths differ.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = self.product(x)?;
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }

    /// `x · weightᵀ`.
    ///
    /// # Errors
    ///
    /// When the widths differ.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weight {
            Weight::Dense(weight) => blocked_product(x, weight),
            // candle multiplies quantised weights with f32 only.
            Weight::Quantised(weight) => {
                let product = weight.forward(&x.to_dtype(DType::F32)?.contiguous()?)?;
                product.to_dtype(x.dtype())
            }
        }
    }
}

/// The matrix on `device`, its blocks as they are.
fn on_device(stored: QTensor, device: &Device) -> Result<QTensor> {
    if device.is_cpu() {
        return Ok(stored);
    }
    let storage = QStorage::from_data(stored.data()?, device, stored.dtype())?;
    QTensor::new(storage, stored.shape().clone())
}

/// Columns whose products are summed before the sum is added to those of other columns.
///
/// candle's matrix product adds up the columns of a row one after the other, which for a prompt of several
/// tokens gives three times the rounding error of llama.cpp's 32 interleaved sums. In blocks of this
/// size the errors are equal; smaller blocks gain nothing and cost time.
const BLOCK: usize = 64;

/// `x · weightᵀ`, the inner sums in blocks.
fn blocked_product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let columns = weight.dim(1)?;
    let block = |start: usize| {
        let width = BLOCK.min(columns - start);
        x.narrow(1, start, width)?
            .matmul(&weight.narrow(1, start, width)?.t()?)
    };
    // A single row is summed in interleaved lanes already, and faster in one go; a GPU sums in tiles.
    if x.dim(0)? == 1 || columns <= BLOCK || !x.device().is_cpu() {
        return x.matmul(&weight.t()?);
    }
    let mut sum = block(0)?;
    for start in (BLOCK..columns).step_by(BLOCK) {
        sum = (sum + block(start)?)?;
    }
    Ok(sum)
}
