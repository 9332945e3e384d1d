//! Non-linearities.

use super::{Context, Failure};
use crate::recompute::kind::{Activate, Activation};
use crate::recompute::weights::Arithmetic;
use crate::tensor::Dense;
use half::f16;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

impl Context<'_> {
    pub(super) fn activate(
        &self,
        activate: &Activate,
        gate: &Dense,
        up: Option<&Dense>,
    ) -> Result<Dense, Failure> {
        let f = |x: f64| match (self.arithmetic, activate.function) {
            (Arithmetic::Engine, Activation::GeluTanh) => looked_up_gelu(x),
            _ => activate.function.of(x),
        };
        if !activate.gated {
            let x = if activate.exchanged {
                up.unwrap_or(gate)
            } else {
                gate
            };
            return Ok(x.map(f));
        }
        let up = up.ok_or_else(|| Failure::Shape("a gate without its other factor".to_owned()))?;
        let product = |gate: f64, up: f64| {
            if activate.exchanged {
                gate * f(up)
            } else {
                f(gate) * up
            }
        };
        gate.zip(up, product)
            .ok_or_else(|| Failure::Shape(format!("{:?} is gated by {:?}", up.shape, gate.shape)))
    }
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Silu,
        Self::GeluTanh,
        Self::GeluErf,
        Self::GeluQuick,
        Self::Relu,
        Self::ReluSquared,
        Self::Sigmoid,
        Self::Tanh,
        Self::Identity,
    ];

    /// The function at a point.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::GeluTanh => {
                0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
            }
            Self::GeluErf => 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)),
            Self::GeluQuick => x / (1.0 + (-1.702 * x).exp()),
            Self::Relu => x.max(0.0),
            Self::ReluSquared => x.max(0.0).powi(2),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Identity => x,
        }
    }
}

/// GELU as ggml has it on a CPU: looked up in a table over f16 that holds f16, which costs three decimal places.
///
/// # Source
///
/// `ggml_vec_gelu_f32` and `ggml_gelu_f32`, whose constants and order of operations are kept so that the table's
/// roundings are met.
pub(crate) fn looked_up_gelu(x: f64) -> f64 {
    if x <= -10.0 {
        return 0.0;
    }
    if x >= 10.0 {
        return x;
    }
    let x = f16::from_f32(x as f32).to_f32();
    let inner = 0.797_884_6_f32 * x * (1.0 + 0.044_715 * x * x);
    f64::from(f16::from_f32(0.5 * x * (1.0 + inner.tanh())).to_f32())
}

/// The error function, to about 1e-15.
///
/// # Source
///
/// Abramowitz & Stegun 7.1.6 (series) below 3, 7.1.14 (continued fraction) above.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 3.0 {
        let mut term = a;
        let mut sum = a;
        for n in 1..100 {
            term *= 2.0 * a * a / f64::from(2 * n + 1);
            sum += term;
        }
        return (2.0 / PI.sqrt() * (-a * a).exp() * sum).copysign(x);
    }
    let mut fraction = a;
    for n in (1..60).rev() {
        fraction = a + f64::from(n) / 2.0 / fraction;
    }
    (1.0 - (-a * a).exp() / (PI.sqrt() * fraction)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // scipy.special.erf, 17 digits.
        for (x, expected) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (-1.0, -0.842_700_792_949_714_9),
            (2.9, 0.999_958_902_121_900_5),
            (3.1, 0.999_988_351_342_632_8),
            (6.0, 1.0),
        ] {
            assert!((erf(x) - expected).abs() < 3e-15, "{x}: {}", erf(x));
        }
        let meet = (erf(3.0 - 1e-12) - erf(3.0)).abs();
        assert!(meet < 1e-13, "series and fraction meet: {meet:e}");
        // GELU at 1: Φ(1) = 0.841344746068543.
        assert!((Activation::GeluErf.of(1.0) - 0.841_344_746_068_543).abs() < 1e-14);
        assert!((Activation::GeluTanh.of(1.0) - 0.841_191_990_608_276).abs() < 1e-14);
        assert_eq!(Activation::Silu.of(0.0), 0.0);
        assert!((Activation::Silu.of(-1.0) + 0.268_941_421_369_995_1).abs() < 1e-15);
    }

    #[test]
    fn the_table_is_near_the_function() {
        for x in (-1200..1200).map(|x| f64::from(x) / 100.0) {
            let error = (looked_up_gelu(x) - Activation::GeluTanh.of(x)).abs();
            assert!(error <= 1e-3 * x.abs(), "{x}: {error:e}");
        }
    }
}
