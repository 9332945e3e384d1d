//! The element types that can be logged.

use crate::format::Dtype;
use crate::summary::Accumulator;

/// An element type that can be logged: the primitive integers and floats, `bool`, [`F8E4m3`](crate::F8E4m3),
/// [`F8E5m2`](crate::F8E5m2), and under the feature `half` `half::f16` and `half::bf16`.
pub trait Element: internals::Internals {
    /// How the type is named in a trace.
    const DTYPE: Dtype;
}

/// A number in the form in which it is written: the shortest decimal of this type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Printed as `f32`.
    F32(f32),
    /// Printed as `f64`.
    F64(f64),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
}

/// What the rest of the crate needs of an element type, out of reach of other crates: bytes of elements
/// are written as they are, so the types must be these.
pub(crate) mod internals {
    use super::{Accumulator, Number};

    pub trait Internals: Copy + Send + Sync + 'static {
        /// The number to print.
        fn number(self) -> Number;

        /// Adds elements to statistics and sketch.
        fn accumulate(elements: &[Self], into: &mut Accumulator);
    }
}

/// A type, its name, the form in which its numbers are printed, and how slices of it are summed.
macro_rules! element {
    ($($type:ty, $dtype:ident, $variant:ident($number:expr), $accumulate:expr;)*) => {$(
        impl crate::tensor::Element for $type {
            const DTYPE: crate::format::Dtype = crate::format::Dtype::$dtype;
        }
        impl crate::tensor::element::internals::Internals for $type {
            #[inline]
            fn number(self) -> crate::tensor::Number {
                let number: fn($type) -> _ = $number;
                crate::tensor::Number::$variant(number(self))
            }

            fn accumulate(elements: &[Self], into: &mut crate::summary::Accumulator) {
                let accumulate: fn(&[Self], &mut crate::summary::Accumulator) = $accumulate;
                accumulate(elements, into);
            }
        }
    )*};
}
pub(super) use element;

element! {
    f64, F64, F64(|value| value), |elements, into| into.push_f64(elements);
    f32, F32, F32(|value| value), |elements, into| into.push_f32(elements);
    i8, I8, Int(i64::from), |elements, into| into.push_as_f32(elements, convert(f32::from));
    i16, I16, Int(i64::from), |elements, into| into.push_as_f32(elements, convert(f32::from));
    i32, I32, Int(i64::from), |elements, into| into.push_as_f64(elements, f64::from);
    i64, I64, Int(i64::from), |elements, into| into.push_as_f64(elements, |value| value as f64);
    u8, U8, Uint(u64::from), |elements, into| into.push_as_f32(elements, convert(f32::from));
    u16, U16, Uint(u64::from), |elements, into| into.push_as_f32(elements, convert(f32::from));
    u32, U32, Uint(u64::from), |elements, into| into.push_as_f64(elements, f64::from);
    u64, U64, Uint(u64::from), |elements, into| into.push_as_f64(elements, |value| value as f64);
    bool, Bool, Uint(u64::from), |elements, into| {
        into.push_as_f32(elements, convert(|value| f32::from(u8::from(value))));
    };
}

#[cfg(feature = "half")]
element! {
    half::f16, F16, F32(half::f16::to_f32), |elements, into| {
        into.push_as_f32(elements, half::slice::HalfFloatSliceExt::convert_to_f32_slice);
    };
    half::bf16, Bf16, F32(half::bf16::to_f32), |elements, into| {
        // Unlike `to_f32` without a branch for NaN, so that the loop vectorises.
        into.push_as_f32(elements, convert(|value: half::bf16| f32::from_bits(u32::from(value.to_bits()) << 16)));
    };
}

/// Applies a conversion to every element of a slice.
#[inline(always)]
pub(super) fn convert<T: Copy>(one: impl Fn(T) -> f32) -> impl Fn(&[T], &mut [f32]) {
    move |from, to| from.iter().zip(to).for_each(|(from, to)| *to = one(*from))
}
