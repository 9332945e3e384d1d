//! Norms over the last axis.

use candle_core::{D, DType, Result, Tensor};

use crate::arch::NormKind;

/// A norm's formula and numbers.
#[derive(Clone)]
pub struct Norm {
    /// Which formula.
    pub kind: NormKind,
    /// One factor a lane.
    pub weight: Tensor,
    /// One summand a lane; layer norms have it.
    pub bias: Option<Tensor>,
    /// Added to the mean square or the variance.
    pub eps: f32,
}

/// The norm of its kind: [`rms_norm`] or [`layer_norm`].
///
/// # Errors
///
/// When the widths differ.
pub fn norm(x: &Tensor, norm: &Norm) -> Result<Tensor> {
    match norm.kind {
        NormKind::RootMeanSquare => rms_norm(x, norm),
        NormKind::Layer => layer_norm(x, norm),
    }
}

/// `x / sqrt(mean(x²) + eps) · weight` over the last axis.
///
/// The squares are summed in f64, as ggml does: an error of this sum changes all lanes of a token by the
/// same factor, and unlike the scattered errors of a matrix product it does not average out downstream.
///
/// # Shape
///
/// `[…, width]` to the same; `weight` is `[width]`.
///
/// # Errors
///
/// When the widths differ.
pub fn rms_norm(x: &Tensor, norm: &Norm) -> Result<Tensor> {
    scaled(x, &mean_square(x)?, norm)
}

/// `(x − mean(x)) / sqrt(mean((x − mean(x))²) + eps) · weight + bias` over the last axis.
///
/// Source: Ba et al. 2016. The means are taken in f64, for the same reason as in [`rms_norm`].
///
/// # Shape
///
/// `[…, width]` to the same; `weight` and `bias` are `[width]`.
///
/// # Errors
///
/// When the widths differ.
pub fn layer_norm(x: &Tensor, norm: &Norm) -> Result<Tensor> {
    let centred = centred(x)?;
    scaled(&centred, &mean_square(&centred)?, norm)
}

/// `x` less the mean of its last axis.
pub(crate) fn centred(x: &Tensor) -> Result<Tensor> {
    let mean = x
        .to_dtype(DType::F64)?
        .mean_keepdim(D::Minus1)?
        .to_dtype(x.dtype())?;
    x.broadcast_sub(&mean)
}

/// The mean square of the last axis, which stays with length one.
pub(crate) fn mean_square(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F64)?
        .sqr()?
        .mean_keepdim(D::Minus1)?
        .to_dtype(x.dtype())
}

/// `x / sqrt(mean_square + eps) · weight + bias`.
pub(crate) fn scaled(x: &Tensor, mean_square: &Tensor, norm: &Norm) -> Result<Tensor> {
    let scale = (mean_square + f64::from(norm.eps))?.sqrt()?.recip()?;
    weighted(&x.broadcast_mul(&scale)?, norm)
}

/// `x · weight + bias`.
pub(crate) fn weighted(x: &Tensor, norm: &Norm) -> Result<Tensor> {
    let weighted = x.broadcast_mul(&norm.weight)?;
    match &norm.bias {
        Some(bias) => weighted.broadcast_add(bias),
        None => Ok(weighted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn three_and_four() {
        let row = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu).unwrap();
        let x = row([3.0, 4.0]).unsqueeze(0).unwrap();
        let rms = Norm {
            kind: NormKind::RootMeanSquare,
            weight: row([1.0, 2.0]),
            bias: None,
            eps: 12.5,
        };
        // mean(3², 4²) = 12.5; with eps = 12.5 the divisor is 5.
        let found = |formula: &Norm| norm(&x, formula).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found(&rms), [[0.6, 1.6]]);
        // Mean 3.5, variance 0.25; with eps = 0.75 the divisor is 1.
        let layer = Norm {
            kind: NormKind::Layer,
            bias: Some(row([10.0, 20.0])),
            eps: 0.75,
            ..rms
        };
        assert_eq!(found(&layer), [[9.5, 21.0]]);
    }
}
