//! What one operation may round by itself.

use super::activations::{Product, Rounding};
use super::blame::Kind;
use super::weights::WeightClass;
use crate::trace::RunInfo;
use orch_log::format::Dtype;

/// Relative RMSE that products with weights of each class may add where activations are floats or nothing is known of
/// them, the classes in their order.
///
/// # Source
///
/// `docs/noise.md`: the largest error of a projection whose input agreed bit for bit (layer 0), and of all others
/// beyond what their inputs explain, with the margin given there.
const LINEAR: [f64; 4] = [4e-6, 3e-3, 6e-2, 8e-2];

/// The same for scores and context with 32-bit and with 16-bit caches or fused attention.
const ATTENTION: [f64; 2] = [4e-6, 5e-3];

/// Operations that compute in 32-bit floats whatever the weights are.
const PLAIN: f64 = 4e-6;

/// ggml looks the GELU up in a table of half precision on CPUs; others compute it.
const GELU: f64 = 2e-3;

/// How many times a storage type's rounding unit a step may be off: it rounds within the step too.
const STORAGE: f64 = 4.0;

/// What single operations of a pair of runs may round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OwnRounding {
    weights: WeightClass,
    /// What products do to activations, where both runs have the same weights.
    activations: Rounding,
    /// How much their kernels make of that.
    gains: [f64; 2],
    attention: WeightClass,
    has_gelu: bool,
    /// Whether one of the runs rounds the inputs of products to TF32; not of all: that depends on the size of a batch.
    rounds_products: bool,
    /// Whether both runs say what they compute in; else any step may round to 16 bits.
    is_known: bool,
}

impl OwnRounding {
    pub(super) fn of_class(class: WeightClass) -> Self {
        Self {
            weights: class,
            activations: Rounding::Floats,
            gains: [1.0; 2],
            attention: class.min(WeightClass::F16),
            has_gelu: false,
            rounds_products: false,
            is_known: true,
        }
    }

    pub(super) fn of_runs(runs: [Option<&RunInfo>; 2]) -> Self {
        let coarser = |class: fn(&RunInfo) -> Option<WeightClass>| {
            let [a, b] = runs.map(|run| run.and_then(class).unwrap_or(WeightClass::F16));
            a.max(b)
        };
        let has_gelu = |run: &&RunInfo| {
            let model = run.model.as_ref();
            model
                .and_then(|model| model.architecture.as_deref())
                .is_some_and(|name| name.starts_with("gpt2") || name.starts_with("gemma"))
        };
        let weights_of = |run: Option<&RunInfo>| {
            let model = run.and_then(|run| run.model.as_ref());
            Rounding::of_weights(model.and_then(|model| model.weights.as_deref()))
        };
        let [a, b] = runs.map(weights_of);
        Self {
            weights: coarser(WeightClass::of_model),
            // Weights that differ are another error, and a larger one.
            activations: if a == b { a } else { Rounding::Floats },
            gains: runs.map(Rounding::gain),
            attention: coarser(WeightClass::of_attention),
            has_gelu: runs.iter().flatten().any(has_gelu),
            rounds_products: runs.iter().flatten().any(|run| run.rounds_products()),
            is_known: runs
                .iter()
                .all(|run| run.and_then(WeightClass::of_model).is_some()),
        }
    }

    /// Relative RMSE that a step of this kind may add up to position `end`, stored in a type with this rounding unit;
    /// `None` for steps of which nothing is known. `product` tells more of a product with a matrix.
    pub(super) fn allowed(
        &self,
        kind: Kind,
        end: i64,
        storage_unit: f64,
        product: Option<&Product>,
    ) -> Option<f64> {
        let computed = match kind {
            Kind::Linear => {
                let rounding = product
                    .and_then(|product| {
                        let activations = self.activations;
                        activations.of_product(self.weights, self.gains, product)
                    })
                    .unwrap_or(LINEAR[self.weights as usize]);
                rounding * product.map_or(1.0, |product| product.cancellation)
            }
            Kind::Scores | Kind::Context | Kind::FusedAttention => {
                ATTENTION[self.attention.min(WeightClass::F16) as usize]
            }
            Kind::Activation if self.has_gelu => GELU,
            Kind::Norm | Kind::Residual | Kind::Probs | Kind::Activation | Kind::Choice => PLAIN,
            // An angle is a product with the position, and its rounding grows with it.
            Kind::Rope => PLAIN + 2e-7 * end.max(0) as f64,
            Kind::Unknown => return None,
        };
        let assumed = if self.is_known {
            0.0
        } else {
            LINEAR[WeightClass::F16 as usize]
        };
        Some(computed.max(STORAGE * storage_unit).max(assumed))
    }
}

/// What a recomputed operation shows at most where all rounding is that of 32-bit floats.
///
/// # Source
///
/// `docs/noise.md`: the largest deviation of llama.cpp and of the worker, any operation, any weights.
const RECOMPUTED: f64 = 2e-6;

/// The same of a norm of rows of `row` elements.
///
/// # Source
///
/// An engine that adds `row` squares one after the other rounds each partial sum by ε/√12 of it, ε = 2⁻²³, which comes to
/// at most √row · ε/√12 of the whole, and half of that in the root; five times that is the margin. Where one element holds
/// all the energy, as in the streams of real models, partial sums are as large as the whole and clean runs show half of
/// it (1.0e-6 in 576 elements). The elements' own rounding is 1.5e-7.
fn recomputed_norm(row: f64) -> f64 {
    1.5e-7 + 5.0 * row.sqrt() * f64::from(f32::EPSILON) / (2.0 * 12f64.sqrt())
}

impl OwnRounding {
    /// Relative RMSE that a step may show against its recomputation.
    ///
    /// An engine that computes a kind of operation more coarsely does so everywhere, by `usual`; that is its arithmetic
    /// and no mistake, as long as the class of the weights explains it. `row` is the number of elements of a position.
    pub(super) fn recomputed(
        &self,
        kind: Kind,
        end: i64,
        storage_unit: f64,
        (usual, flips): (f64, f64),
        row: f64,
    ) -> f64 {
        let exact = match kind {
            Kind::Norm => recomputed_norm(row),
            Kind::Rope => RECOMPUTED + 2e-7 * end.max(0) as f64,
            Kind::Linear | Kind::Scores | Kind::Context if self.rounds_products => {
                LINEAR[WeightClass::F16 as usize]
            }
            _ => RECOMPUTED,
        };
        let explained = self.allowed(kind, end, storage_unit, None).unwrap_or(exact);
        exact
            .max(usual.min(explained))
            .max(flips * explained)
            .max(STORAGE * storage_unit)
    }
}

/// Half the distance of neighbouring numbers, relative; 0 for 32-bit floats and what is finer.
///
/// # Source
///
/// Significand bits of the formats: IEEE 754 binary16, bfloat16, OCP FP8.
pub(super) fn storage_unit(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F16 => 2f64.powi(-11),
        Dtype::Bf16 => 2f64.powi(-8),
        Dtype::F8E4m3 => 2f64.powi(-4),
        Dtype::F8E5m2 => 2f64.powi(-3),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_in_tf32_may_deviate_from_their_recomputation() {
        let exact = OwnRounding::of_class(WeightClass::F32);
        let rounds = OwnRounding {
            rounds_products: true,
            ..exact
        };
        // 2^-11 is what TF32 rounds an input by.
        let unit = 2f64.powi(-11);
        for kind in [Kind::Linear, Kind::Scores, Kind::Context] {
            assert!(exact.recomputed(kind, 10, 0.0, (0.0, 0.0), 576.0) < unit / 100.0);
            assert!(rounds.recomputed(kind, 10, 0.0, (0.0, 0.0), 576.0) > 2.0 * unit);
        }
        let norm = rounds.recomputed(Kind::Norm, 10, 0.0, (0.0, 0.0), 576.0);
        assert!(norm < unit / 100.0, "a norm is no product");
    }
}
