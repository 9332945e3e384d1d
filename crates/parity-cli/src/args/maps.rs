//! Name maps, for every command that brings two traces together.

use crate::failure::Failure;
use clap::Args;
use parity::align::maps::{Choice, NameMap, shipped, shipped_map};
use std::sync::Arc;

/// Whose names a trace has.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Maps {
    /// Name map of both traces: a shipped one, a TOML file, or `none` to take names as they are; without it a shipped one is
    /// chosen where the names say which
    #[arg(long, value_name = "MAP")]
    pub(crate) map: Option<String>,

    /// Name map of the reference alone
    #[arg(long, value_name = "MAP")]
    pub(crate) map_reference: Option<String>,

    /// Name map of the candidate alone
    #[arg(long, value_name = "MAP")]
    pub(crate) map_candidate: Option<String>,
}

impl Maps {
    /// The choices for reference and candidate.
    pub(crate) fn choices(&self) -> Result<(Choice, Choice), Failure> {
        let of = |own: &Option<String>| match own.as_ref().or(self.map.as_ref()) {
            Some(name) => choice(name),
            None => Ok(Choice::Auto),
        };
        Ok((of(&self.map_reference)?, of(&self.map_candidate)?))
    }
}

/// A shipped map goes before a file of the same name: `./vllm` names the file.
fn choice(name: &str) -> Result<Choice, Failure> {
    if name == "none" {
        return Ok(Choice::AsTheyAre);
    }
    if let Some(map) = shipped_map(name) {
        return Ok(Choice::Map(Arc::new(map.clone())));
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        let known: Vec<&str> = shipped().iter().map(NameMap::name).collect();
        Failure::message(format!(
            "cannot read the name map `{name}`: {error}; shipped maps are {}",
            known.join(", ")
        ))
    })?;
    let map = NameMap::parse(&text, name).map_err(|error| Failure::message(error.to_string()))?;
    Ok(Choice::Map(Arc::new(map)))
}
