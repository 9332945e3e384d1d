//! Kinds of weights, and of what else a run rounds.

use crate::trace::RunInfo;

/// Weights with a common amount of noise, the exactest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightClass {
    /// 32-bit floats throughout, cache included, no fused attention.
    F32,
    /// 16-bit floats somewhere: weights, cache or fused attention; or products in TF32, which has as many bits.
    F16,
    /// Blocks of 8-bit integers, 8-bit floats.
    Bits8,
    /// Blocks of fewer bits.
    Bits4,
}

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
        let few_bits = (1..8).any(|bits| has(&format!("q{bits}")));
        if few_bits || has("iq") || has("tq") || has("mxfp4") || has("nvfp4") {
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

    /// The class of a run: that of its weights, or of its cache and attention where they are coarser.
    pub fn of_run(run: &RunInfo) -> Option<Self> {
        Some(Self::of_model(run)?.max(Self::of_attention(run)?))
    }

    /// The class of a run's weights, and of the products with them.
    pub(super) fn of_model(run: &RunInfo) -> Option<Self> {
        let weights = Self::of_weights(run.model.as_ref()?.weights.as_deref()?)?;
        Some(if run.rounds_products() {
            weights.max(Self::F16)
        } else {
            weights
        })
    }

    /// The class of a run's cache and attention: 32-bit floats unless the settings name coarser ones.
    pub(super) fn of_attention(run: &RunInfo) -> Option<Self> {
        let is = |name: &str, values: &[&str]| {
            run.setting(name)
                .is_some_and(|value| values.contains(&value.to_ascii_lowercase().as_str()))
        };
        // llama.cpp's `auto` is on wherever it can be.
        let rounds = is("kv_type", &["f16", "bf16"])
            || is("flash_attn", &["on", "auto", "true", "1"])
            || run.rounds_products();
        Some(if rounds { Self::F16 } else { Self::F32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::RunModel;

    fn class(weights: &str, settings: &[(&str, &str)]) -> Option<WeightClass> {
        WeightClass::of_run(&RunInfo {
            model: Some(RunModel {
                weights: Some(weights.to_owned()),
                ..RunModel::default()
            }),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), serde_json::Value::from(*value)))
                .collect(),
            ..RunInfo::default()
        })
    }

    #[test]
    fn names_of_storage_types() {
        for (name, expected) in [
            ("F32", Some(WeightClass::F32)),
            ("BF16", Some(WeightClass::F16)),
            ("Q8_0", Some(WeightClass::Bits8)),
            ("Q4_1", Some(WeightClass::Bits4)),
            ("Q6_K", Some(WeightClass::Bits4)),
            ("IQ2_XS", Some(WeightClass::Bits4)),
            ("f8_e4m3", Some(WeightClass::Bits8)),
            ("banana", None),
        ] {
            assert_eq!(class(name, &[]), expected, "{name}");
        }
    }

    #[test]
    fn cache_and_attention_may_be_coarser() {
        assert_eq!(
            class("F32", &[("kv_type", "f32"), ("flash_attn", "off")]),
            Some(WeightClass::F32)
        );
        assert_eq!(class("F32", &[("kv_type", "F16")]), Some(WeightClass::F16));
        assert_eq!(
            class("F32", &[("flash_attn", "auto")]),
            Some(WeightClass::F16)
        );
        assert_eq!(
            class("Q4_1", &[("kv_type", "f32")]),
            Some(WeightClass::Bits4)
        );
        assert_eq!(WeightClass::of_run(&RunInfo::default()), None);
    }

    #[test]
    fn a_gpu_may_round_the_inputs_of_products() {
        assert_eq!(
            class("F32", &[("products", "tf32")]),
            Some(WeightClass::F16)
        );
        assert_eq!(class("F32", &[("products", "f32")]), Some(WeightClass::F32));
        assert_eq!(
            class("Q4_1", &[("products", "tf32")]),
            Some(WeightClass::Bits4)
        );
    }
}
