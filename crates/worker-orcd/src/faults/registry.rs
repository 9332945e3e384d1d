//! The table of faults.

use super::replace::Built;
use super::{
    Needs, Param, Params, activation, bias, buffers, cache, dequant, graph, kernel, mask, norm,
    positions, precision, residual, rope_frequency, rope_pairing, scale, scores, tokens, weights,
};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::gguf::GgufFile;
use crate::ops::Correct;

/// One kind of mistake.
pub struct Fault {
    /// What `--fault` takes.
    pub name: &'static str,
    /// Family, as in the catalogue of engine bugs that the faults were taken from.
    pub family: &'static str,
    /// What is done wrongly.
    pub summary: &'static str,
    /// Where it first shows; `{L}` is the faulty layer.
    pub first: &'static str,
    /// When it first shows: `prefill`, or `decode` for what a prompt in one batch cannot show.
    pub phase: &'static str,
    /// The first layer that it changes when it is planted in all.
    pub from_layer: usize,
    /// Its parameters and their defaults.
    pub params: &'static [Param],
    /// Whether it can be limited to one token: mistakes in weights cannot.
    pub by_token: bool,
    /// What a model must have for the fault to matter.
    pub needs: &'static [Needs],
    pub(super) build: fn(&Params, &Config) -> Built,
}

impl Fault {
    /// What most faults have in common; a family's rows start from it.
    pub(super) const BASE: Self = Self {
        name: "",
        family: "",
        summary: "",
        first: "",
        phase: "prefill",
        from_layer: 0,
        params: &[],
        by_token: true,
        needs: &[],
        build: |_, _| Ok(Box::new(Correct)),
    };

    /// Checks that a model has what the fault needs.
    ///
    /// # Errors
    ///
    /// With what is missing: the fault would be planted and change nothing.
    pub fn check(&self, config: &Config, file: &GgufFile) -> Result<()> {
        let missing = self
            .needs
            .iter()
            .find_map(|need| need.missing(config, file));
        match missing {
            None => Ok(()),
            Some(missing) => Err(Error::Fault(format!(
                "fault `{}` would change nothing in `{}`: it needs a model with {missing}",
                self.name,
                file.path().display()
            ))),
        }
    }
}

/// All faults, those of a family together.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    let mut faults: Vec<&Fault> = [
        norm::FAULTS,
        weights::FAULTS,
        rope_pairing::FAULTS,
        rope_frequency::FAULTS,
        positions::FAULTS,
        cache::FAULTS,
        dequant::FAULTS,
        scale::FAULTS,
        precision::FAULTS,
        kernel::FAULTS,
        buffers::FAULTS,
        graph::FAULTS,
        mask::FAULTS,
        scores::FAULTS,
        bias::FAULTS,
        tokens::FAULTS,
        residual::FAULTS,
        activation::FAULTS,
    ]
    .into_iter()
    .flatten()
    .collect();
    // A file may hold a fault of another family, next to those that it is made like.
    let mut families: Vec<&str> = Vec::new();
    for fault in &faults {
        if !families.contains(&fault.family) {
            families.push(fault.family);
        }
    }
    faults.sort_by_key(|fault| families.iter().position(|family| *family == fault.family));
    faults.into_iter()
}

/// The fault of this name.
///
/// # Errors
///
/// When there is none; the message offers the names most like it.
pub fn find(name: &str) -> Result<&'static Fault> {
    all().find(|fault| fault.name == name).ok_or_else(|| {
        let mut known: Vec<_> = all().map(|fault| fault.name).collect();
        known.sort_by_key(|known| std::cmp::Reverse(shared_pairs(name, known)));
        known.truncate(OFFERED);
        Error::Fault(format!(
            "unknown fault `{name}`; did you mean one of {}? `worker-orcd faults` lists all {}",
            known.join(", "),
            all().count()
        ))
    })
}

/// How many names an error offers.
const OFFERED: usize = 4;

/// Pairs of neighbouring letters that two names share.
fn shared_pairs(a: &str, b: &str) -> usize {
    let pairs = |name: &str| -> Vec<[u8; 2]> {
        name.as_bytes()
            .windows(2)
            .map(|pair| [pair[0], pair[1]])
            .collect()
    };
    let of_b = pairs(b);
    pairs(a).iter().filter(|pair| of_b.contains(pair)).count()
}
