//! How much disagreement is rounding: measured, one row for each kind of weights.

use crate::trace::RunInfo;

/// Weights with a common amount of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightClass {
    /// 32-bit floats throughout, cache included, no fused attention.
    F32,
    /// 16-bit floats somewhere: weights, cache or fused attention.
    F16,
    /// Blocks of 8-bit integers.
    Bits8,
    /// Blocks of fewer bits.
    Bits4,
}

/// Where the class comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseSource {
    /// Both run files name the weights.
    RunFiles,
    /// At least one does not, and was taken for 16-bit floats.
    Assumed,
}

/// A limit with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseRow {
    /// The class of weights.
    pub class: WeightClass,
    /// Largest NMSE of a checkpoint that is still rounding.
    pub max_nmse: f64,
    /// Where the number comes from.
    pub reason: &'static str,
    /// Where the class comes from.
    pub source: NoiseSource,
}

/// The table. Relative RMSE is the square root of NMSE.
///
/// # Source
///
/// llama.cpp against candle and against itself on SmolLM2-135M, every canonical checkpoint of all layers, prefill and
/// decode; `docs/noise.md` has the measurements.
const TABLE: [(WeightClass, f64, &str); 4] = [
    (
        WeightClass::F32,
        1e-8,
        "f32 weights and cache: relative RMSE up to 3e-6 measured at any checkpoint, 30 times that allowed",
    ),
    (
        WeightClass::F16,
        1e-4,
        "f16 or bf16 weights, cache or fused attention: relative RMSE up to 6e-4 measured, 16 times that allowed",
    ),
    (
        WeightClass::Bits8,
        1e-2,
        "8-bit weights: activations are rounded to 8 bits before each product",
    ),
    (
        WeightClass::Bits4,
        4e-2,
        "weights below 8 bits: relative RMSE up to 4.5e-2 measured",
    ),
];

impl WeightClass {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bits8 => "8-bit",
            Self::Bits4 => "4-bit",
        }
    }

    /// The class of a storage type by its name (`Q4_1`, `F16`, `mostly Q8_0`); `None` where it is not known.
    pub fn of_weights(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let has = |part: &str| name.contains(part);
        if has("iq")
            || has("tq")
            || (1..8).any(|bits| has(&format!("q{bits}")))
            || has("mxfp4")
            || has("nvfp4")
        {
            Some(Self::Bits4)
        } else if has("q8") || has("f8") || has("i8") {
            Some(Self::Bits8)
        } else if has("f16") {
            Some(Self::F16)
        } else if has("f32") || has("f64") {
            Some(Self::F32)
        } else {
            None
        }
    }
}

/// The table's row of a class.
pub fn noise_row(class: WeightClass, source: NoiseSource) -> NoiseRow {
    let (class, max_nmse, reason) = TABLE[class as usize];
    NoiseRow {
        class,
        max_nmse,
        reason,
        source,
    }
}

/// The limit for two runs: that of the coarser of the two.
///
/// Where a run file does not name the weights, 16-bit floats are assumed, which is what most models are shipped
/// as, and neither the strictest nor the laxest row.
pub fn limit_of(reference: Option<&RunInfo>, candidate: Option<&RunInfo>) -> NoiseRow {
    let class = |run: Option<&RunInfo>| {
        let run = run?;
        let weights = WeightClass::of_weights(run.model.as_ref()?.weights.as_deref()?)?;
        Some(weights.max(settings_class(run)))
    };
    let classes = [class(reference), class(candidate)];
    let source = match classes {
        [Some(_), Some(_)] => NoiseSource::RunFiles,
        _ => NoiseSource::Assumed,
    };
    let [a, b] = classes.map(|class| class.unwrap_or(WeightClass::F16));
    noise_row(a.max(b), source)
}

/// 16-bit arithmetic that a run adds whatever its weights are.
fn settings_class(run: &RunInfo) -> WeightClass {
    let is = |name: &str, values: &[&str]| {
        run.setting(name)
            .is_some_and(|value| values.contains(&value.to_ascii_lowercase().as_str()))
    };
    if is("kv_type", &["f16", "bf16"]) || is("flash_attn", &["on", "true", "1"]) {
        WeightClass::F16
    } else {
        WeightClass::F32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::RunModel;

    fn run(weights: &str, settings: &[(&str, &str)]) -> RunInfo {
        RunInfo {
            model: Some(RunModel {
                weights: Some(weights.to_owned()),
                ..RunModel::default()
            }),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), serde_json::Value::from(*value)))
                .collect(),
            ..RunInfo::default()
        }
    }

    #[test]
    fn names_of_storage_types() {
        for (name, class) in [
            ("F32", Some(WeightClass::F32)),
            ("BF16", Some(WeightClass::F16)),
            ("Q8_0", Some(WeightClass::Bits8)),
            ("Q4_1", Some(WeightClass::Bits4)),
            ("Q6_K", Some(WeightClass::Bits4)),
            ("IQ2_XS", Some(WeightClass::Bits4)),
            ("f8_e4m3", Some(WeightClass::Bits8)),
            ("banana", None),
        ] {
            assert_eq!(WeightClass::of_weights(name), class, "{name}");
        }
    }

    #[test]
    fn the_coarser_side_decides() {
        let class = |a: Option<&RunInfo>, b: Option<&RunInfo>| {
            let row = limit_of(a, b);
            (row.class, row.source)
        };
        let f32 = run("F32", &[("kv_type", "f32"), ("flash_attn", "off")]);
        let half_cache = run("F32", &[("kv_type", "F16")]);
        let q4 = run("Q4_1", &[]);
        let from_run_files = NoiseSource::RunFiles;
        assert_eq!(
            class(Some(&f32), Some(&f32)),
            (WeightClass::F32, from_run_files)
        );
        assert_eq!(
            class(Some(&half_cache), Some(&f32)),
            (WeightClass::F16, from_run_files)
        );
        assert_eq!(
            class(Some(&f32), Some(&q4)),
            (WeightClass::Bits4, from_run_files)
        );
        assert_eq!(
            class(None, Some(&f32)),
            (WeightClass::F16, NoiseSource::Assumed)
        );
        assert_eq!(
            class(Some(&q4), None),
            (WeightClass::Bits4, NoiseSource::Assumed)
        );
        assert_eq!(class(None, None), (WeightClass::F16, NoiseSource::Assumed));
    }

    #[test]
    fn rows_are_ordered() {
        for (index, (class, max_nmse, _)) in TABLE.iter().enumerate() {
            assert_eq!(*class as usize, index);
            assert!(index == 0 || *max_nmse > TABLE[index - 1].1);
        }
    }
}
