//! The key-value pairs of a GGUF header, read with types and with errors that name the key.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::quantized::gguf_file::Value;

use crate::error::{Error, Result};

/// The key-value pairs of a GGUF header.
pub struct Metadata {
    path: PathBuf,
    values: HashMap<String, Value>,
}

impl Metadata {
    pub(crate) fn new(path: PathBuf, values: HashMap<String, Value>) -> Self {
        Self { path, values }
    }

    /// The text under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// When the value is no text.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a text", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The non-negative integer under `key`, of whatever width it was stored.
    ///
    /// # Errors
    ///
    /// When the value is no integer or negative.
    pub fn unsigned(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a non-negative integer", unsigned)
    }

    /// The number under `key`.
    ///
    /// # Errors
    ///
    /// When the value is no floating-point number.
    pub fn float(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "a number", |value| match *value {
            Value::F32(number) => Some(number),
            Value::F64(number) => Some(number as f32),
            _ => None,
        })
    }

    /// The truth value under `key`.
    ///
    /// # Errors
    ///
    /// When the value is none.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", |value| match *value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        })
    }

    /// The array of texts under `key`.
    ///
    /// # Errors
    ///
    /// When the value is no array of texts.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.typed(key, "an array of texts", |value| match value {
            Value::Array(items) => items
                .iter()
                .map(|item| match item {
                    Value::String(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    /// The array of non-negative integers under `key`.
    ///
    /// # Errors
    ///
    /// When the value is no such array.
    pub fn unsigneds(&self, key: &str) -> Result<Option<Vec<u64>>> {
        self.typed(
            key,
            "an array of non-negative integers",
            |value| match value {
                Value::Array(items) => items.iter().map(unsigned).collect(),
                _ => None,
            },
        )
    }

    /// Turns a missing value into an error that names the key.
    ///
    /// # Errors
    ///
    /// When `value` is missing.
    pub fn require<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::gguf(&self.path, format_args!("metadata has no `{key}`")))
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        convert(value).map(Some).ok_or_else(|| {
            let found = format!("{:?}", value.value_type()).to_lowercase();
            Error::gguf(
                &self.path,
                format_args!("metadata `{key}` is {found}, expected {wanted}"),
            )
        })
    }
}

fn unsigned(value: &Value) -> Option<u64> {
    match *value {
        Value::U8(n) => Some(n.into()),
        Value::U16(n) => Some(n.into()),
        Value::U32(n) => Some(n.into()),
        Value::U64(n) => Some(n),
        Value::I8(n) => n.try_into().ok(),
        Value::I16(n) => n.try_into().ok(),
        Value::I32(n) => n.try_into().ok(),
        Value::I64(n) => n.try_into().ok(),
        _ => None,
    }
}
