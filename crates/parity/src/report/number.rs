//! Numbers that JSON does not have.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number that may be NaN or infinite, written as the trace format writes it: `"NaN"`, `"Infinity"`, `"-Infinity"`.
///
/// # Example
///
/// ```
/// use parity::report::Number;
/// assert_eq!(serde_json::to_string(&Number(0.5)).unwrap(), "0.5");
/// assert_eq!(serde_json::to_string(&Number(f64::INFINITY)).unwrap(), "\"Infinity\"");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_nan() {
            serializer.serialize_str("NaN")
        } else if self.0 == f64::INFINITY {
            serializer.serialize_str("Infinity")
        } else if self.0 == f64::NEG_INFINITY {
            serializer.serialize_str("-Infinity")
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Finite(f64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Finite(number) => Ok(Self(number)),
            Written::Word(word) => match word.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(de::Error::custom(format!(
                    "expected a number, found `{word}`"
                ))),
            },
        }
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self(number)
    }
}
