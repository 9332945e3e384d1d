//! Root-mean-square norm.

use candle_core::{D, DType, Result, Tensor};

/// A norm's weight and epsilon.
pub struct Norm {
    /// One factor a lane.
    pub weight: Tensor,
    /// Added to the mean square.
    pub eps: f32,
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
    let mean = x
        .to_dtype(DType::F64)?
        .sqr()?
        .mean_keepdim(D::Minus1)?
        .to_dtype(x.dtype())?;
    let scale = (mean + f64::from(norm.eps))?.sqrt()?.recip()?;
    x.broadcast_mul(&scale)?.broadcast_mul(&norm.weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn three_and_four() {
        // mean(3², 4²) = 12.5; with eps = 12.5 the divisor is 5.
        let x = Tensor::new(&[[3f32, 4.0]], &Device::Cpu).unwrap();
        let norm = Norm {
            weight: Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap(),
            eps: 12.5,
        };
        assert_eq!(
            rms_norm(&x, &norm).unwrap().to_vec2::<f32>().unwrap(),
            [[0.6, 1.6]]
        );
    }
}
