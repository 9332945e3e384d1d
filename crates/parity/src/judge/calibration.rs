//! Noise measured between runs that differ only benignly.

use super::blame::Floor;
use super::tally::Tally;
use crate::align::Place;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The noise of one checkpoint. Both are relative root mean square errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The largest error of any pair: what the model gathers up to here.
    pub gathered: f64,
    /// The most that its operation added to what its inputs' errors explain.
    pub own: f64,
}

/// Noise by checkpoint, as `parity calibrate` writes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// The runs it was measured between.
    pub runs: Vec<String>,
    by_name: BTreeMap<String, Measured>,
    by_stage: BTreeMap<String, Measured>,
}

/// The version of the file.
const FORMAT_VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format_version: u32,
    #[serde(default)]
    runs: Vec<String>,
    #[serde(default)]
    checkpoint: BTreeMap<String, Measured>,
}

impl Calibration {
    /// Nothing measured yet.
    pub fn new(runs: Vec<String>) -> Self {
        Self {
            runs,
            ..Self::default()
        }
    }

    /// How many checkpoints were measured.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True where nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Takes in the pairs of one comparison.
    pub(crate) fn add(&mut self, tally: &Tally) {
        for pair in tally.pairs() {
            let Some(local) = pair.local.filter(|local| local.floor != Floor::Gathered) else {
                self.note(tally.name(pair.name), pair.relative_rmse(), 0.0);
                continue;
            };
            let own = (f64::from(local.error) - f64::from(local.explained)).max(0.0);
            self.note(tally.name(pair.name), pair.relative_rmse(), own);
        }
    }

    fn note(&mut self, name: &str, gathered: f64, own: f64) {
        let larger = |measured: &mut Measured| {
            measured.gathered = measured.gathered.max(gathered);
            measured.own = measured.own.max(own);
        };
        larger(self.by_name.entry(name.to_owned()).or_default());
        larger(self.by_stage.entry(stage(name)).or_default());
    }

    /// The noise of a checkpoint: its own, or for a layer that was not measured the largest of the same operation.
    pub fn of(&self, checkpoint: &str) -> Option<Measured> {
        let found = self.by_name.get(checkpoint);
        found
            .or_else(|| self.by_stage.get(&stage(checkpoint)))
            .copied()
    }

    /// The TOML form.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# Noise between runs that differ only benignly, measured by `parity calibrate`: relative RMSE.\n\
             format_version = {FORMAT_VERSION}\nruns = {:?}\n\n[checkpoint]\n",
            self.runs
        );
        for (name, measured) in &self.by_name {
            let _ = writeln!(
                text,
                "{name:?} = {{ gathered = {:.3e}, own = {:.3e} }}",
                measured.gathered, measured.own
            );
        }
        text
    }

    /// Reads the TOML form.
    ///
    /// # Errors
    ///
    /// A sentence: the syntax, another version, a noise that is no number from 0 on.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.format_version != FORMAT_VERSION {
            return Err(format!(
                "format_version {} is not {FORMAT_VERSION}",
                file.format_version
            ));
        }
        let mut calibration = Self::new(file.runs);
        for (name, measured) in &file.checkpoint {
            let usable = |noise: f64| noise.is_finite() && noise >= 0.0;
            if !usable(measured.gathered) || !usable(measured.own) {
                return Err(format!("the noise of `{name}` is not a number from 0 on"));
            }
            calibration.note(name, measured.gathered, measured.own);
        }
        Ok(calibration)
    }
}

/// The name without its layer's number.
fn stage(name: &str) -> String {
    match Place::of(name) {
        Some(Place::Layer(_, stage)) => format!("layer_*_{}", stage.name()),
        _ => name.to_owned(),
    }
}
