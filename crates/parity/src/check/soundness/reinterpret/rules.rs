//! What the counts say.
//!
//! A Gaussian's binary logarithms deviate by 1.6 from their mean, a Cauchy's by 2.3, a softmax row's by 10 or more. Random
//! bits read as `f32` deviate by 74, as `f16` by about 8. Each rule therefore asks for both: the declared reading is odd, the
//! other one is ordinary.

use super::profile::Profile;
use crate::align::{Place, Stage};
use orch_log::format::Dtype;

/// A misreading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Misread {
    Bf16PairsAsF32,
    F16PairsAsF32,
    F64AsF32,
    F32AsHalf,
    Bf16AsF16,
    F16AsBf16,
    I64AsI32,
    OtherByteOrder,
    IntegersAsFloats,
    FloatsAsIntegers,
}

/// How sure the evidence makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Nothing else looks like it.
    Certain,
    /// An unusual but sound tensor might.
    Likely,
}

/// What a checkpoint's values are, if not what its dtype says.
pub(super) fn misread(profile: &Profile, place: Option<Place>) -> Option<Misread> {
    if profile.distinct.len() < 4 {
        return None;
    }
    match profile.dtype? {
        Dtype::F32 => as_f32(profile, place),
        Dtype::F16 => as_f16(profile),
        Dtype::Bf16 => as_bf16(profile, place),
        Dtype::I32 | Dtype::U32 => as_integer(profile),
        _ => None,
    }
}

fn as_f32(profile: &Profile, place: Option<Place>) -> Option<Misread> {
    let distinct = profile.distinct.len() >= Profile::DISTINCT;
    let [even, odd] = [
        profile.logs_at[0].deviation(),
        profile.logs_at[1].deviation(),
    ];
    // Lower halves are noise: one in 15 is a bf16 from 2^-10 to 2^6 by chance; in 32, 90 % are with 10^-26.
    if distinct && profile.share(profile.low_as_bf16) >= 0.9 {
        return Some(Misread::Bf16PairsAsF32);
    }
    // Half of the values are random lower words of an f64 (deviation 74), the others its upper words. An f64 that was an f32 has few
    // lower words: 2^-63, 2, 2^65 and their like.
    let short = profile.short_at_even == profile.logs_at[0].count();
    if distinct && even >= 24.0 && odd <= 4.0 && (is_spread(profile) || short) {
        return Some(Misread::F64AsF32);
    }
    // Two f16 exponents make the f32 deviate by 8 times its own 1.6; 0.41 of random lower halves look like an f16 in range.
    if distinct
        && profile.values >= 64
        && profile.share(profile.low_as_f16) >= 0.95
        && profile.logs.deviation() >= 6.0
    {
        return Some(Misread::F16PairsAsF32);
    }
    // A random f32 is ordinary with 40/256; 95 % of 32 are with 10^-23.
    let swapped =
        profile.share(profile.swapped_ordinary) >= 0.95 && profile.share(profile.ordinary) <= 0.6;
    if distinct && swapped {
        return Some(Misread::OtherByteOrder);
    }
    let probabilities = matches!(place, Some(Place::Layer(_, Stage::AttnProbs)));
    let all_small =
        profile.small_integers == profile.values && !profile.reaches_normal && !probabilities;
    (profile.values >= 8 && all_small).then_some(Misread::IntegersAsFloats)
}

fn as_f16(profile: &Profile) -> Option<Misread> {
    if profile.values < 64 || profile.distinct.len() < Profile::DISTINCT {
        return None;
    }
    // The upper half of an f32 of ordinary size has an f16 exponent of 14 or 15; the lower one is random.
    let odd_share = f64::from(profile.near_one_at_odd) / f64::from(profile.places[1].max(1));
    if odd_share >= 0.95
        && profile.logs_at[0].deviation() >= 5.0
        && is_spread(profile)
        && profile.logs_at[1].deviation() <= 1.2
    {
        return Some(Misread::F32AsHalf);
    }
    if profile.share(profile.swapped_ordinary) >= 0.95 && profile.logs.deviation() >= 5.0 {
        return Some(Misread::OtherByteOrder);
    }
    // A bf16 from 2^-15 to 2^9 is an f16 from 0.5 to 4: nothing is near zero, although both signs occur. Read as bf16,
    // many octaves, and few values in the lower ones.
    let (octaves, lopsided) = profile.other_reading();
    let both_signs = (0.3..=0.7).contains(&profile.share(profile.positive));
    (both_signs && profile.share(profile.near_one) >= 0.98 && octaves >= 6 && lopsided >= 1.6)
        .then_some(Misread::Bf16AsF16)
}

fn as_bf16(profile: &Profile, place: Option<Place>) -> Option<Misread> {
    if profile.values < 64 || profile.distinct.len() < Profile::DISTINCT {
        return None;
    }
    let [even, odd] = [
        profile.logs_at[0].deviation(),
        profile.logs_at[1].deviation(),
    ];
    if even >= 24.0 && odd <= 4.0 && is_spread(profile) {
        return Some(Misread::F32AsHalf);
    }
    if profile.share(profile.swapped_ordinary) >= 0.95 && profile.logs.deviation() >= 20.0 {
        return Some(Misread::OtherByteOrder);
    }
    // An f16's exponent and 3 bits of its fraction become the exponent: eightfold deviation. Sound tensors of one scale and
    // both signs stay below 3.
    use Stage as S;
    let one_scale = matches!(
        place,
        Some(Place::Embedding | Place::FinalNorm | Place::Logits)
            | Some(Place::Layer(
                _,
                S::AttnNorm
                    | S::Q
                    | S::K
                    | S::V
                    | S::QRope
                    | S::KRope
                    | S::QNorm
                    | S::KNorm
                    | S::AttnOut
                    | S::FfnNorm
                    | S::FfnUp
            ))
    );
    let both_signs = (0.3..=0.7).contains(&profile.share(profile.positive));
    let (_, lopsided) = profile.other_reading();
    (one_scale && both_signs && profile.logs.deviation() >= 8.0 && lopsided >= 1.6)
        .then_some(Misread::F16AsBf16)
}

/// True where the values at even places have nearly all magnitudes, as random bits have, and not two or three, as channels
/// of different scale have: 14 of 40 octaves of an f16, 14 of 35 times eight octaves of an f32.
fn is_spread(profile: &Profile) -> bool {
    profile.magnitudes_at_even.count_ones() >= 14
}

fn as_integer(profile: &Profile) -> Option<Misread> {
    let [even_places, odd_places] = profile.places;
    if profile.values < 8 {
        return None;
    }
    // Token ids end below 2^20; an ordinary f32 has bits above 2^29.
    if profile.distinct.len() >= 8 && profile.share(profile.as_f32_ordinary) >= 0.95 {
        return Some(Misread::FloatsAsIntegers);
    }
    if profile.share(profile.swapped_ordinary) >= 0.95 {
        return Some(Misread::OtherByteOrder);
    }
    let extended = odd_places >= 8
        && profile.extension_at_odd == odd_places
        && profile.positive_at_even == even_places;
    extended.then_some(Misread::I64AsI32)
}

impl Misread {
    pub(super) fn weight(self) -> Weight {
        match self {
            Self::Bf16AsF16 | Self::F16AsBf16 | Self::I64AsI32 | Self::IntegersAsFloats => {
                Weight::Likely
            }
            _ => Weight::Certain,
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::OtherByteOrder => "S012",
            Self::IntegersAsFloats | Self::FloatsAsIntegers => "S013",
            _ => "S011",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Bf16PairsAsF32 => "bf16 was read as f32",
            Self::F16PairsAsF32 => "f16 was read as f32",
            Self::F64AsF32 => "f64 was read as f32",
            Self::F32AsHalf => "f32 was read as a 16-bit type",
            Self::Bf16AsF16 => "bf16 was read as f16",
            Self::F16AsBf16 => "f16 was read as bf16",
            Self::I64AsI32 => "64-bit integers were read as 32-bit ones",
            Self::OtherByteOrder => "the bytes were read in the other order",
            Self::IntegersAsFloats => "integers were read as floats",
            Self::FloatsAsIntegers => "floats were read as integers",
        }
    }

    pub(super) fn evidence(self) -> &'static str {
        match self {
            Self::Bf16PairsAsF32 => {
                "the lower 16 bits of the values are ordinary bf16 numbers, where an f32 has noise"
            }
            Self::F16PairsAsF32 => {
                "the values spread over tens of orders of magnitude, and both their halves are ordinary f16 numbers"
            }
            Self::F64AsF32 => {
                "every second value is random bits, and the ones between are ordinary: lower and upper words of f64"
            }
            Self::F32AsHalf => {
                "every second value is random bits, and the ones between are ordinary: lower and upper halves of f32"
            }
            Self::Bf16AsF16 => {
                "all values lie in ±[0.5, 4), none near zero, and read as bf16 they are ordinary"
            }
            Self::F16AsBf16 => {
                "the values spread over tens of orders of magnitude, and read as f16 they are ordinary"
            }
            Self::I64AsI32 => "every second value is 0 or -1, the upper half of a 64-bit integer",
            Self::OtherByteOrder => {
                "the values are out of any scale, and ordinary with their bytes swapped"
            }
            Self::IntegersAsFloats => {
                "all values are subnormal, and their bits are integers below 2^20 (or everything underflowed)"
            }
            Self::FloatsAsIntegers => "the values' bits are ordinary f32 numbers",
        }
    }

    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::OtherByteOrder => "data of a big-endian file or machine was taken as it lies",
            Self::I64AsI32 | Self::F64AsF32 | Self::F32AsHalf => {
                "the logging call was given a narrower type than the tensor has"
            }
            Self::Bf16PairsAsF32 | Self::F16PairsAsF32 => {
                "the logging call was given a wider type than the tensor has, so that it also read beyond the tensor's end"
            }
            _ => "the logging call was given another type than the tensor has",
        }
    }
}
