//! Element types, as they are named in a trace.

use std::fmt;

/// The storage type of a tensor's elements.
///
/// Names are lower case, as in product vocabulary: `f32`, `bf16`, `f8_e4m3`, ggml's `q8_0`.
///
/// # Example
///
/// ```
/// use orch_log::format::Dtype;
/// assert_eq!(Dtype::parse("bf16"), Some(Dtype::Bf16));
/// assert_eq!(Dtype::parse("float32"), Some(Dtype::F32));
/// assert_eq!(Dtype::parse("q8_0").and_then(|dtype| dtype.size_bytes()), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32: 8 exponent bits, 7 stored significand bits.
    Bf16,
    /// 8 bits, 4 of them exponent, no infinity (OCP "E4M3", `float8_e4m3fn`).
    F8E4m3,
    /// 8 bits, 5 of them exponent, with infinities (OCP "E5M2").
    F8E5m2,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// One byte, 0 or 1.
    Bool,
    /// Any other name, above all ggml's block-quantised types: `q4_1`, `iq2_xs`.
    Ggml(TypeName),
}

/// A short lower-case type name that this crate has no variant for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeName {
    bytes: [u8; TypeName::MAX],
    length: u8,
}

impl TypeName {
    const MAX: usize = 15;

    /// The name, lower-cased, or `None` when it is empty, longer than 15 bytes or has other
    /// characters than letters, digits and `_`.
    pub fn new(name: &str) -> Option<Self> {
        let source = name.as_bytes();
        if source.is_empty() || source.len() > Self::MAX {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        for (to, from) in bytes.iter_mut().zip(source) {
            if !from.is_ascii_alphanumeric() && *from != b'_' {
                return None;
            }
            *to = from.to_ascii_lowercase();
        }
        Some(Self {
            bytes,
            length: source.len() as u8,
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length as usize]).unwrap_or_default()
    }
}

impl fmt::Debug for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Dtype {
    /// A ggml type by its name (`ggml_type_name`), for example `q4_1`; `f32` gives [`Dtype::F32`].
    pub fn ggml(name: &str) -> Option<Self> {
        Self::parse(name)
    }

    /// The name as written in a trace.
    pub fn name(&self) -> &str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F8E4m3 => "f8_e4m3",
            Self::F8E5m2 => "f8_e5m2",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Bool => "bool",
            Self::Ggml(name) => name.as_str(),
        }
    }

    /// Reads a name in any case, with the synonyms of Python's and safetensors' worlds.
    ///
    /// `None` only for what cannot be a type name (empty, too long, odd characters); a
    /// well-formed unknown name becomes [`Dtype::Ggml`].
    pub fn parse(name: &str) -> Option<Self> {
        // As nearly all are written.
        if let Some(known) = Self::known(name) {
            return Some(known);
        }
        let name = TypeName::new(name)?;
        Some(Self::known(name.as_str()).unwrap_or(Self::Ggml(name)))
    }

    /// A type with a variant of its own, by its lower-case names.
    fn known(name: &str) -> Option<Self> {
        Some(match name {
            "f32" | "float32" | "float" | "fp32" => Self::F32,
            "f16" | "float16" | "half" | "fp16" => Self::F16,
            "bf16" | "bfloat16" => Self::Bf16,
            "f64" | "float64" | "double" => Self::F64,
            "f8_e4m3" | "float8_e4m3fn" | "f8_e4m3fn" => Self::F8E4m3,
            "f8_e5m2" | "float8_e5m2" => Self::F8E5m2,
            "i8" | "int8" => Self::I8,
            "i16" | "int16" => Self::I16,
            "i32" | "int32" | "int" => Self::I32,
            "i64" | "int64" => Self::I64,
            "u8" | "uint8" => Self::U8,
            "u16" | "uint16" => Self::U16,
            "u32" | "uint32" => Self::U32,
            "u64" | "uint64" => Self::U64,
            "bool" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes of one element, or `None` for block-quantised and unknown types.
    pub const fn size_bytes(&self) -> Option<usize> {
        match self {
            Self::F64 | Self::I64 | Self::U64 => Some(8),
            Self::F32 | Self::I32 | Self::U32 => Some(4),
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => Some(2),
            Self::F8E4m3 | Self::F8E5m2 | Self::I8 | Self::U8 | Self::Bool => Some(1),
            Self::Ggml(_) => None,
        }
    }

    /// True for the integer types and `bool`.
    pub const fn is_integer(&self) -> bool {
        matches!(
            self,
            Self::I8
                | Self::I16
                | Self::I32
                | Self::I64
                | Self::U8
                | Self::U16
                | Self::U32
                | Self::U64
                | Self::Bool
        )
    }

    /// True where the numbers of a record are the shortest decimal of an `f32`: every float type
    /// but `f64`, and quantised blocks, which are decoded to `f32`.
    pub const fn prints_as_f32(&self) -> bool {
        !matches!(self, Self::F64) && !self.is_integer()
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [
            "f64", "f32", "f16", "bf16", "f8_e4m3", "f8_e5m2", "i8", "i16", "i32", "i64", "u8",
            "u16", "u32", "u64", "bool", "q4_1", "iq3_xxs",
        ] {
            assert_eq!(
                Dtype::parse(name).map(|dtype| dtype.to_string()).as_deref(),
                Some(name)
            );
        }
        assert_eq!(Dtype::parse("F32"), Some(Dtype::F32));
        assert_eq!(Dtype::parse(""), None);
        assert_eq!(Dtype::parse("f 32"), None);
        assert_eq!(Dtype::parse("a_name_that_is_too_long"), None);
    }
}
