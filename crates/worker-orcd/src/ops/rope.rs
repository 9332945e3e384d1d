//! Rotary position embedding.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::rotary_emb;

use crate::arch::Pairing;
use crate::config::RopeConfig;
use crate::place::Place;

/// The rotation of each token of one forward pass, shared by all layers.
pub struct Rotation {
    /// What the angles were computed from.
    pub config: RopeConfig,
    /// Absolute positions, one a row.
    pub positions: Vec<usize>,
    /// `[tokens, 1, dims / 2]`.
    pub cos: Tensor,
    /// `[tokens, 1, dims / 2]`.
    pub sin: Tensor,
}

impl Rotation {
    /// The rotation at `positions`, for tensors at `place`; the angles are the host's everywhere.
    ///
    /// # Errors
    ///
    /// When a tensor cannot be made.
    pub fn new(config: &RopeConfig, positions: &[usize], place: &Place) -> Result<Self> {
        let angles: Vec<f32> = positions
            .iter()
            .flat_map(|&position| angles(config, position))
            .collect();
        let angles = Tensor::from_vec(angles, (positions.len(), 1, config.dims / 2), &Device::Cpu)?;
        Ok(Self {
            config: config.clone(),
            positions: positions.to_vec(),
            cos: place.bring(&angles.cos()?)?,
            sin: place.bring(&angles.sin()?)?,
        })
    }

    /// The same rotation at other positions.
    ///
    /// # Errors
    ///
    /// When a tensor cannot be made.
    pub fn at(&self, positions: &[usize]) -> Result<Self> {
        Self::new(&self.config, positions, &Place::of(&self.cos))
    }
}

/// The angle of each lane pair at one position, in radians.
///
/// Each angle is the one before it times `base^(-2/dims)`, all in f32: where rounding puts these
/// angles at far positions matters more than any sum in the model, so this follows the order in which
/// ggml computes them (`ggml_rope_cache_init`).
fn angles(config: &RopeConfig, position: usize) -> impl Iterator<Item = f32> {
    let step = config.base.powf(-2.0 / config.dims as f32);
    let mut unscaled = position as f32;
    (0..config.dims / 2).map(move |pair| {
        let factor = config.factors.as_ref().map_or(1.0, |factors| factors[pair]);
        let angle = config.scale * (unscaled / factor);
        unscaled *= step;
        angle
    })
}

/// Turns each lane pair (a, b) of each head into (a·cos − b·sin, a·sin + b·cos).
///
/// # Shape
///
/// `[tokens, heads, head_dim]` to the same; lanes past the rotated ones pass through.
///
/// # Errors
///
/// When the rotation is for another number of tokens.
pub fn rotate(x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
    let (dims, head_dim) = (rotation.config.dims, x.dim(D::Minus1)?);
    if dims == head_dim {
        return rotate_all(x, rotation);
    }
    let turned = rotate_all(&x.narrow(D::Minus1, 0, dims)?, rotation)?;
    Tensor::cat(
        &[&turned, &x.narrow(D::Minus1, dims, head_dim - dims)?],
        D::Minus1,
    )
}

fn rotate_all(x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
    // candle rotates [batch, heads, time, lanes]. With every token a batch of its own, the layout
    // stays token-major, and neither side needs a transposition.
    let (tokens, heads, lanes) = x.dims3()?;
    let batched = x.reshape((tokens, heads, 1, lanes))?.contiguous()?;
    let turned = match rotation.config.pairing {
        Pairing::Adjacent => rotary_emb::rope_i(&batched, &rotation.cos, &rotation.sin)?,
        Pairing::HalfSplit => rotary_emb::rope(&batched, &rotation.cos, &rotation.sin)?,
    };
    turned.reshape((tokens, heads, lanes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairing: Pairing, dims: usize) -> RopeConfig {
        RopeConfig {
            pairing,
            dims,
            base: 10000.0,
            scale: 1.0,
            factors: None,
        }
    }

    /// The definition, in f64: pair i turns by `position · base^(-2i/dims)`.
    fn reference(
        x: &[f32],
        dims: usize,
        position: f64,
        lanes: impl Fn(usize) -> (usize, usize),
    ) -> Vec<f64> {
        let mut turned: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        for pair in 0..dims / 2 {
            let angle = position * 10000f64.powf(-2.0 * pair as f64 / dims as f64);
            let (a, b) = lanes(pair);
            let (x, y) = (f64::from(x[a]), f64::from(x[b]));
            turned[a] = x * angle.cos() - y * angle.sin();
            turned[b] = x * angle.sin() + y * angle.cos();
        }
        turned
    }

    #[test]
    fn both_pairings_and_a_partial_rotation() {
        let x: Vec<f32> = (0..2 * 3 * 8).map(|i| (i as f32 * 0.37).sin()).collect();
        let tensor = Tensor::from_vec(x.clone(), (2, 3, 8), &Device::Cpu).unwrap();
        for (pairing, dims) in [
            (Pairing::Adjacent, 8),
            (Pairing::HalfSplit, 8),
            (Pairing::Adjacent, 4),
            (Pairing::HalfSplit, 6),
        ] {
            let rotation =
                Rotation::new(&config(pairing, dims), &[5, 6], &Place::default()).unwrap();
            let turned = rotate(&tensor, &rotation)
                .unwrap()
                .to_vec3::<f32>()
                .unwrap();
            for (token, heads) in turned.iter().enumerate() {
                for (head, lanes) in heads.iter().enumerate() {
                    let start = (token * 3 + head) * 8;
                    let pair_lanes = |pair| match pairing {
                        Pairing::Adjacent => (2 * pair, 2 * pair + 1),
                        Pairing::HalfSplit => (pair, pair + dims / 2),
                    };
                    let expected =
                        reference(&x[start..start + 8], dims, 5.0 + token as f64, pair_lanes);
                    for (lane, (got, expected)) in lanes.iter().zip(&expected).enumerate() {
                        assert!(
                            (f64::from(*got) - expected).abs() < 1e-6,
                            "{pairing:?} of {dims}, token {token}, head {head}, lane {lane}: {got} instead of {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn factors_divide_and_scale_multiplies() {
        let scaled = RopeConfig {
            scale: 0.25,
            factors: Some(vec![1.0, 8.0]),
            ..config(Pairing::Adjacent, 4)
        };
        let found: Vec<f32> = angles(&scaled, 100).collect();
        // 100 / 4 and 100 · 10000^(-1/2) / 8 / 4.
        assert_eq!(found[0], 25.0);
        assert!((found[1] - 0.03125).abs() < 1e-8, "{}", found[1]);
    }
}
