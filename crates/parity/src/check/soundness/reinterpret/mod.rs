//! `S011`, `S012`, `S013`: bytes read as another type.
//!
//! **What.** `S011`: a type of another width or layout (bf16 or f16 pairs as f32, f32 as f16, f64 as f32, bf16 as f16, 64-bit
//! integers as 32-bit ones); `S012`: the other byte order; `S013`: integers as floats and floats as integers.
//!
//! **Why it matters.** Such a record has the right size and no NaN, and some of its numbers may even be nearly right: a bf16
//! pair read as f32 is every second element with noise in its lower bits.
//!
//! **Evidence wanted.** The bits, of at least 32 values of a checkpoint, printed exactly. Read as declared they spread
//! over far more orders of magnitude than a tensor does, or their lower halves are not noise; read as the other type
//! they are ordinary. The limits of each rule, and what sound tensors reach, stand beside it in `rules`.
//!
//! **What it can't tell.** Anything in text with few digits. Whether the logger misread the engine's tensor or the engine its
//! own weights: an embedding row is memory as it lies in the model file, so there it is only a warning. f16 read as bf16 is
//! told only in tensors that are signed and of one scale (projections, norms, logits); products of gates look like it.

mod profile;
mod rules;

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::observed::{Detector, Ended, Observed, PerName};
use crate::align::Place;
use profile::Profile;
use rules::{Misread, Weight};
use std::collections::BTreeMap;

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Reinterpret {
    names: PerName<Of>,
}

#[derive(Debug, Default)]
struct Of {
    profile: Profile,
    place: Option<Place>,
    records: Records,
}

impl Detector for Reinterpret {
    fn observe(&mut self, seen: &Observed<'_>) {
        // Text with few decimals has lost the bits that all of this is about; integers are printed in full.
        if seen.maybe_fixed && !seen.record.dtype.is_integer() {
            return;
        }
        let of = self.names.of(seen.name);
        of.place = seen.place;
        of.records.add(seen.line);
        of.profile.observe(seen.record);
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let mut found: BTreeMap<Misread, (Records, Vec<&str>, bool)> = BTreeMap::new();
        for (name, of) in self.names.iter(ended.names) {
            if let Some(misread) = rules::misread(&of.profile, of.place) {
                let (records, names, beyond_embedding) = found.entry(misread).or_default();
                records.extend(&of.records);
                names.push(name);
                *beyond_embedding |= of.place != Some(Place::Embedding);
            }
        }
        found
            .into_iter()
            .map(|(misread, (records, names, beyond_embedding))| {
                let severity = match misread.weight() {
                    Weight::Certain if beyond_embedding => Severity::Error,
                    _ => Severity::Warning,
                };
                Finding {
                    code: misread.code(),
                    severity,
                    title: misread.title().to_owned(),
                    evidence: format!(
                        "{} of {}: {}",
                        counted(records.count, "record"),
                        name_list(names.into_iter()),
                        misread.evidence()
                    ),
                    cause: Some(misread.cause().to_owned()),
                    advice: "give the logging call the type that the tensor is stored with; if it does, the engine reads \
                             its own data wrongly"
                        .to_owned(),
                    records,
                }
            })
            .collect()
    }
}
