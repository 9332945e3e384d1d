//! How far an output may be from what its inputs give.

use crate::judge::WeightClass;
use crate::recompute::{
    Activate, Activation, Attend, Deviation, Hparams, Kind, Linear, LocalError, Operation,
};
use orch_log::format::Dtype;

/// The largest relative RMSE of a row that is still the engine's rounding.
///
/// `end` is the position after the last row, `dtype` the type that the result was kept in.
///
/// # Source
///
/// Engines sum in f32, in an order of their own: products of SmolLM2's and the tiny models' sizes are within 7e-7 of
/// f64, or of ggml's own kernel where activations are quantised; a limit of 1e-5 leaves room for larger models, and
/// smaller mistakes do not change a token. Element-wise steps and norms are within 1.5e-7. An angle is a product in
/// f32: its rounding grows with the position. A sum of few elements can be small by chance, and its rounding is not.
/// Fused attention over a cache of f16 adds up values in f16, each key a rounding of 2⁻¹¹.
pub fn limit(operation: &Operation, local: &LocalError, dtype: Dtype, end: i64) -> f64 {
    let f32_limit = match &operation.kind {
        Kind::Norm(_) | Kind::Residual(_) | Kind::Embed(_) | Kind::Sigmoid => 1e-6,
        Kind::Rope(_) => (2.0 * f64::from(f32::EPSILON) * end as f64).max(1e-6),
        // One element of the table that was rounded the other way is 5e-4 off.
        Kind::Activate(Activate {
            function: Activation::GeluTanh,
            ..
        }) => 1e-5,
        Kind::Activate(_) => 1e-6,
        Kind::Context(Attend {
            cache: Dtype::F16, ..
        }) if !local.through.is_empty() => 2_f64.powi(-11) * (1.0 + (end as f64).sqrt()),
        Kind::Linear(Linear { row_shape, .. })
            if row_shape.iter().product::<usize>() < Deviation::FEW =>
        {
            1e-4
        }
        _ => 1e-5,
    };
    // What was not logged was rounded, too.
    let steps = 1.0 + local.through.len() as f64;
    let unit = match dtype {
        Dtype::F16 => 2_f64.powi(-11),
        Dtype::Bf16 => 2_f64.powi(-8),
        Dtype::F8E4m3 => 2_f64.powi(-4),
        Dtype::F8E5m2 => 2_f64.powi(-3),
        _ => 0.0,
    };
    // A result that is kept in few bits was summed from inputs that were: three roundings, one after another.
    (f32_limit * steps).max(3.0 * unit * steps)
}

/// What products in TF32 may add to that; 0 for what is no product of 32-bit floats, and in runs that have none.
///
/// # Source
///
/// TF32 has 11 bits: a unit of 2⁻¹¹ for each input. Relative to the sum of the products the errors are larger where products
/// cancel; llama.cpp in TF32 is up to 1.3e-3 from f64 on an H200 (`docs/gpu.md`).
pub(super) fn of_tf32(operation: &Operation, local: &LocalError, hparams: &Hparams) -> f64 {
    let of_floats = match operation.kind {
        Kind::Linear(_) => dtypes(operation, hparams).all(|dtype| dtype == "f32"),
        Kind::Scores(_) | Kind::Context(_) => true,
        _ => false,
    };
    match of_floats && hparams.rounds_products {
        true => UNITS * 2_f64.powi(-11) * (1.0 + local.through.len() as f64),
        false => 0.0,
    }
}

/// What a product with weights of 16 bits and fewer may be off by on a GPU whose kernels are not emulated; 0 for
/// other operations, and on a CPU.
///
/// # Source
///
/// f16 has 11 bits, bf16 8. Activations as 8-bit integers: tiny models in Q4_1 on an H200 are up to 4.8e-2 from the arithmetic of
/// CPUs.
pub(super) fn not_emulated(operation: &Operation, local: &LocalError, hparams: &Hparams) -> f64 {
    let is_product = matches!(operation.kind, Kind::Linear(_) | Kind::ExpertLinear(_));
    if !hparams.on_gpu || !is_product {
        return 0.0;
    }
    let largest = dtypes(operation, hparams)
        .map(of_weights)
        .fold(0.0, f64::max);
    largest * (1.0 + local.through.len() as f64)
}

/// Storage types of an operation's weights.
fn dtypes<'h>(
    operation: &Operation,
    hparams: &'h Hparams,
) -> impl Iterator<Item = &'h str> + use<'h> {
    let infos: Vec<&str> = operation
        .weights()
        .into_iter()
        .filter_map(|name| hparams.tensors.get(name))
        .map(|info| info.dtype.as_str())
        .collect();
    infos.into_iter()
}

/// What a GPU's kernels may round activations by for weights of a storage type.
fn of_weights(dtype: &str) -> f64 {
    match WeightClass::of_weights(dtype) {
        Some(WeightClass::Bits8 | WeightClass::Bits4) => 6e-2,
        Some(WeightClass::F16) if dtype.eq_ignore_ascii_case("bf16") => UNITS * 2_f64.powi(-8),
        Some(WeightClass::F16) => UNITS * 2_f64.powi(-11),
        _ => 0.0,
    }
}

/// Rounding units of an input that a product may be off by.
const UNITS: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_few_bits_round_activations() {
        // 2^-11 = 4.9e-4 and 2^-8 = 3.9e-3.
        for (dtype, least, most) in [
            ("f32", 0.0, 0.0),
            ("f16", 1.5e-3, 2.5e-3),
            ("bf16", 1.2e-2, 2e-2),
            ("q8_0", 4.3e-2, 0.1),
            ("Q4_1", 4.3e-2, 0.1),
        ] {
            let found = of_weights(dtype);
            assert!((least..=most).contains(&found), "{dtype}: {found}");
        }
    }
}
