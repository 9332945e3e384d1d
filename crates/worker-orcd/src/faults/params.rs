//! A fault's parameters.

use std::str::FromStr;

use crate::error::{Error, Result};

/// A parameter that a fault takes.
pub struct Param {
    /// What stands before the `=`.
    pub name: &'static str,
    /// Its value when it is not given, in words where the model decides.
    pub default: &'static str,
}

/// The parameters that were given.
#[derive(Clone, Debug, Default)]
pub struct Params {
    fault: String,
    values: Vec<(String, String)>,
}

impl Params {
    /// Checks that `fault` takes each of `values`.
    ///
    /// # Errors
    ///
    /// When it does not; the message names those that it takes.
    pub(super) fn new(fault: &str, known: &[Param], values: Vec<(String, String)>) -> Result<Self> {
        for (name, _) in &values {
            if !known.iter().any(|param| param.name == name) {
                let offer = match known {
                    [] => "no parameters".to_owned(),
                    _ => known
                        .iter()
                        .map(|param| param.name)
                        .collect::<Vec<_>>()
                        .join(", "),
                };
                return Err(Error::Fault(format!(
                    "fault `{fault}` has no parameter `{name}`; it takes {offer}"
                )));
            }
        }
        Ok(Self {
            fault: fault.to_owned(),
            values,
        })
    }

    /// The value of a parameter, if it was given.
    ///
    /// # Errors
    ///
    /// When it cannot be read as a `T`.
    pub fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some((_, text)) = self.values.iter().rev().find(|(key, _)| key == name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            let fault = &self.fault;
            Error::Fault(format!(
                "fault `{fault}`: `{name}={text}` is not a usable value"
            ))
        })
    }
}
