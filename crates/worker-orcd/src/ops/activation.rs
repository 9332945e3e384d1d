//! The feed-forward network's non-linearity.

use candle_core::{Result, Tensor};

/// `silu(gate) · up`, with `silu(x) = x / (1 + e⁻ˣ)`.
///
/// # Shape
///
/// Both `[tokens, width]`, to the same.
///
/// # Errors
///
/// When the shapes differ.
pub fn silu_gate(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn silu_of_known_values() {
        let gate = Tensor::new(&[0f32, 1.0, -1.0, 20.0], &Device::Cpu).unwrap();
        let up = Tensor::new(&[7f32, 2.0, 1.0, 0.5], &Device::Cpu).unwrap();
        let act = silu_gate(&gate, &up).unwrap().to_vec1::<f32>().unwrap();
        // x / (1 + e^-x): 0.7310585786 at 1, -0.2689414214 at -1, 19.99999996 at 20.
        let expected = [0.0, 1.462_117_2, -0.268_941_42, 10.0];
        for (act, expected) in act.iter().zip(expected) {
            assert!((act - expected).abs() < 1e-6, "{act} instead of {expected}");
        }
    }
}
