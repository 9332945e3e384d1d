//! The element types that can be logged.

use crate::format::Dtype;

mod sealed {
    pub trait Sealed {}
}

/// An element type that can be logged.
///
/// # Source
///
/// Conversions to `f64` are exact except for `i64` and `u64`, which round to nearest.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// How the type is named in a trace.
    const DTYPE: Dtype;

    #[doc(hidden)]
    fn number(self) -> Number;
}

/// A number in the form in which it is written: the shortest decimal of this type.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    F32(f32),
    F64(f64),
    Int(i64),
    Uint(u64),
}

macro_rules! element {
    ($($type:ty, $dtype:ident, $variant:ident, $wide:ty;)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            #[inline]
            fn number(self) -> Number {
                Number::$variant(<$wide>::from(self))
            }
        }
    )*};
}

element! {
    f64, F64, F64, f64;
    f32, F32, F32, f32;
    i8, I8, Int, i64;
    i16, I16, Int, i64;
    i32, I32, Int, i64;
    i64, I64, Int, i64;
    u8, U8, Uint, u64;
    u16, U16, Uint, u64;
    u32, U32, Uint, u64;
    u64, U64, Uint, u64;
    bool, Bool, Uint, u64;
}

#[cfg(feature = "half")]
element! {
    half::f16, F16, F32, f32;
    half::bf16, Bf16, F32, f32;
}

impl Number {
    /// The nearest `f64`.
    #[inline]
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Self::F32(value) => f64::from(value),
            Self::F64(value) => value,
            Self::Int(value) => value as f64,
            Self::Uint(value) => value as f64,
        }
    }
}
