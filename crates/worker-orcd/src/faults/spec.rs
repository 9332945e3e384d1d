//! What was asked for on the command line.

use super::{Fault, Params, find};
use crate::error::{Error, Result};

/// A fault with its parameters and where it is planted.
pub struct FaultSpec {
    /// The kind of mistake.
    pub fault: &'static Fault,
    /// Its parameters.
    pub params: Params,
    /// The only faulty layer; all when `None`.
    pub layer: Option<usize>,
    /// The only faulty token position; all when `None`.
    pub token: Option<usize>,
    text: String,
}

impl FaultSpec {
    /// Reads `NAME[,key=value…]`, a layer (`all` or a number) and a token position.
    ///
    /// # Errors
    ///
    /// When the name or a parameter is unknown, or the fault cannot be limited so.
    pub fn parse(text: &str, layer: Option<&str>, token: Option<usize>) -> Result<Self> {
        let mut parts = text.split(',').map(str::trim);
        let fault = find(parts.next().unwrap_or_default())?;
        let values = parts
            .map(|part| match part.split_once('=') {
                Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                None => Err(Error::Fault(format!(
                    "`{part}` in `--fault {text}` is not key=value"
                ))),
            })
            .collect::<Result<Vec<_>>>()?;
        let layer = match layer {
            None | Some("all") => None,
            Some(number) => Some(number.parse().map_err(|_| {
                Error::Fault(format!(
                    "--fault-layer `{number}` is neither a number nor `all`"
                ))
            })?),
        };
        if layer.is_some() && !fault.first.contains("{L}") {
            return Err(Error::Fault(format!(
                "fault `{}` lies outside the layers; leave --fault-layer out",
                fault.name
            )));
        }
        if token.is_some() && !fault.by_token {
            return Err(Error::Fault(format!(
                "fault `{}` lies in the weights or the cache and concerns every token; leave --fault-token out",
                fault.name
            )));
        }
        let params = Params::new(fault.name, fault.params, values)?;
        Ok(Self {
            fault,
            params,
            layer,
            token,
            text: text.to_owned(),
        })
    }

    /// One line for `run.json`: `rope-pairing layer 3 token all`.
    pub fn describe(&self) -> String {
        let or_all = |value: Option<usize>| {
            value.map_or_else(|| "all".to_owned(), |value| value.to_string())
        };
        format!(
            "{} layer {} token {}",
            self.text,
            or_all(self.layer),
            or_all(self.token)
        )
    }

    /// The first checkpoint at which the fault shows.
    pub fn first_checkpoint(&self) -> String {
        self.fault.first.replace(
            "{L}",
            &self.layer.unwrap_or(self.fault.from_layer).to_string(),
        )
    }
}
