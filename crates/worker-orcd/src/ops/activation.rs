//! The feed-forward network's non-linearity.

use candle_core::{DType, Result, Tensor};
use half::f16;

use crate::arch::Activation;

/// `activation(gate) · up`, or `activation(gate)` where the network has no gate and `gate` is all there is.
///
/// # Shape
///
/// Both `[tokens, width]`, to the same.
///
/// # Errors
///
/// When the shapes differ.
pub fn activate(activation: Activation, gate: &Tensor, up: Option<&Tensor>) -> Result<Tensor> {
    let activated = match activation {
        Activation::Silu => gate.silu()?,
        // Devices have no table: ggml computes the formula there, as candle does.
        Activation::Gelu if !gate.device().is_cpu() => gate.gelu()?,
        Activation::Gelu => gelu(gate)?,
    };
    match up {
        Some(up) => activated * up,
        None => Ok(activated),
    }
}

/// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`, as ggml computes it on a CPU.
///
/// ggml looks the value up in a table over half precision that holds half precision, which costs three
/// decimal places: the exact function would differ from it everywhere by up to 2⁻¹¹ of the value. Source of the formula:
/// Hendrycks & Gimpel 2016; of the table: `ggml_vec_gelu_f32`.
///
/// # Shape
///
/// Any, to the same.
///
/// # Errors
///
/// When the memory cannot be had.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    each(x, |x| match x {
        x if x <= -10.0 => 0.0,
        x if x >= 10.0 => x,
        x => f16::from_f32(gelu_tanh(f16::from_f32(x).to_f32())).to_f32(),
    })
}

/// The formula in f32, its products in ggml's order so that the table's roundings are met.
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    /// √(2/π), the digits of ggml's `SQRT_2_OVER_PI` that f32 holds.
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    0.5 * x * (1.0 + (SQRT_2_OVER_PI * x * (1.0 + 0.044715 * x * x)).tanh())
}

/// Applies a function to each element.
pub(crate) fn each(x: &Tensor, function: impl Fn(f32) -> f32) -> Result<Tensor> {
    let values = x.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let values: Vec<f32> = values.into_iter().map(function).collect();
    Tensor::from_vec(values, x.shape(), x.device())?.to_dtype(x.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(values: [f32; 4]) -> Tensor {
        Tensor::new(&values, &Device::Cpu).unwrap()
    }

    #[test]
    fn silu_of_known_values() {
        let (gate, up) = (tensor([0.0, 1.0, -1.0, 20.0]), tensor([7.0, 2.0, 1.0, 0.5]));
        let act = activate(Activation::Silu, &gate, Some(&up)).unwrap();
        // x / (1 + e^-x): 0.7310585786 at 1, -0.2689414214 at -1, 19.99999996 at 20.
        let expected = [0.0, 1.462_117_2, -0.268_941_42, 10.0];
        for (act, expected) in act.to_vec1::<f32>().unwrap().iter().zip(expected) {
            assert!((act - expected).abs() < 1e-6, "{act} instead of {expected}");
        }
    }

    #[test]
    fn gelu_of_known_values() {
        let act = activate(Activation::Gelu, &tensor([1.0, -1.0, -10.5, 11.25]), None).unwrap();
        // 0.8411919906 and -0.1588080094, to the eleven binary digits of half precision.
        assert_eq!(
            act.to_vec1::<f32>().unwrap(),
            [0.841_308_6, -0.158_813_48, 0.0, 11.25]
        );
    }
}
