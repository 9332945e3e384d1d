//! Pairs whose layouts differ: every reading that the shapes allow, and where there are several, the one that the numbers
//! confirm.

use super::pairing::{Context, Outcome, evidence, nothing_in_common, numbers};
use crate::align::layout::{Alternative, Undone, View, Viewed, interleaved, resolve};
use crate::align::{Pair, Place, Stage};
use crate::error::Error;
use crate::judge::{Compared, Detail};
use crate::measure::{Evidence, measure};
use crate::tensor::{Numbers, Region};
use orch_log::format::Record;

/// How much smaller a squared error must be for one reading to be taken and not the other.
///
/// Two orders of the same numbers that are not alike differ by about their own magnitude (NMSE 1 to 2); even 4-bit weights
/// leave an NMSE of 1e-3 between engines.
const CLEARLY: f64 = 0.01;

impl Context<'_> {
    /// Measures a pair whose records are not simply equally shaped and whole.
    pub(super) fn examine_through_views(&self, pair: &Pair) -> Result<Outcome, Error> {
        let alternatives = match resolve(pair) {
            Ok(alternatives) => alternatives,
            Err(reason) => return Ok(Outcome::Unusable(reason)),
        };
        let is_covered = |alternative: &Alternative| {
            let part = pair.shares[0].reading.part;
            alternative.undone.contains(&Undone::FusedOnBothSides)
                && part.is_some_and(|part| part.index > 0)
        };
        if alternatives.iter().any(is_covered) {
            return Ok(Outcome::Covered);
        }
        let shapes =
            [&pair.reference.record, &pair.candidate.record].map(|record| record.shape.clone());
        let readings = alternatives.len();
        let mut measured: Vec<Compared> = Vec::new();
        for Alternative { views, undone } in alternatives {
            match self.through(pair, &views, undone)? {
                Seen::PastInputs => return Ok(Outcome::PastInputs),
                Seen::Nothing => {}
                Seen::Compared(compared) => {
                    let better = self.with_lanes_swapped(pair, &compared)?;
                    measured.push(better.unwrap_or(*compared));
                }
            }
        }
        measured.sort_by(|a, b| a.measured.nmse.total_cmp(&b.measured.nmse));
        let mut measured = measured.into_iter();
        let Some(best) = measured.next() else {
            let [reference, candidate] = shapes;
            return Ok(match readings {
                0 => Outcome::Shapes(reference, candidate),
                _ => nothing_in_common(),
            });
        };
        if let Some(second) = measured.next()
            && best.measured.nmse > CLEARLY * second.measured.nmse
        {
            return Ok(Outcome::Unusable(format!(
                "its shapes can be read in {readings} ways, and the numbers do not say which is right; a name map can: \
                 `layout = \"heads,tokens,dim\"`"
            )));
        }
        Ok(Outcome::Measured(Box::new(best)))
    }

    fn through(&self, pair: &Pair, views: &[View; 2], undone: Vec<Undone>) -> Result<Seen, Error> {
        let shape = views[0].dims().to_vec();
        let Some(cut) = self.cut(Region::whole(&shape, Some(0)), &shape, pair) else {
            return Ok(Seen::PastInputs);
        };
        let sides = [
            (self.reference, &pair.reference.record),
            (self.candidate, &pair.candidate.record),
        ];
        let [reference, candidate] = [0, 1].map(|index| {
            let (trace, record) = sides[index];
            let source = numbers(trace, record);
            Viewed::new(source, views[index].clone())
        });
        let measured = measure(
            &evidence_through(&pair.reference.record, &reference, &views[0]),
            &evidence_through(&pair.candidate.record, &candidate, &views[1]),
            &cut.region,
        )?;
        let Some(measured) = measured else {
            return Ok(Seen::Nothing);
        };
        let spread = self.spread(
            [&reference, &candidate],
            &cut.region,
            &shape,
            Some(&measured),
        )?;
        let shown = cut.first_values.min(Detail::FIRST_VALUES);
        let mut values = [Vec::new(), Vec::new()];
        reference.read(0, shown, &mut values[0])?;
        candidate.read(0, shown, &mut values[1])?;
        Ok(Seen::Compared(Box::new(Compared {
            shape: match shape.as_slice() {
                [1, rest @ ..] if pair.n_tokens == 1 => rest.to_vec(),
                _ => shape,
            },
            n_tokens: cut.n_tokens,
            first_values: shown,
            values: Some(values),
            undone,
            measured,
            spread,
        })))
    }

    /// The pair with the candidate's lanes in the other order of rotations, where only that makes the numbers agree.
    pub(super) fn with_lanes_swapped(
        &self,
        pair: &Pair,
        compared: &Compared,
    ) -> Result<Option<Compared>, Error> {
        let rotates = || {
            matches!(
                Place::of(&pair.key.checkpoint),
                Some(Place::Layer(
                    _,
                    Stage::Q | Stage::K | Stage::QNorm | Stage::KNorm | Stage::QRope | Stage::KRope
                ))
            )
        };
        let plain = &compared.measured;
        if !plain.basis.is_exact() || plain.nmse <= LANES_FROM || !rotates() {
            return Ok(None);
        }
        let Ok(alternatives) = resolve(pair) else {
            return Ok(None);
        };
        for Alternative { views, undone } in alternatives {
            for views in interleaved(&views) {
                let undone = [undone.as_slice(), &[Undone::LanesInterleaved]].concat();
                if let Seen::Compared(mut swapped) = self.through(pair, &views, undone)?
                    && swapped.measured.nmse <= CLEARLY * plain.nmse
                {
                    swapped.shape.clone_from(&compared.shape);
                    return Ok(Some(*swapped));
                }
            }
        }
        Ok(None)
    }
}

/// Below this NMSE two tensors agree as they are, whatever their lanes.
const LANES_FROM: f64 = 1e-3;

enum Seen {
    /// It lies past the point where the inputs part.
    PastInputs,
    /// The two records have no evidence in common.
    Nothing,
    Compared(Box<Compared>),
}

/// What a record says about the elements of a view: statistics do not depend on the order, a sketch does.
fn evidence_through<'r>(record: &'r Record, viewed: &'r Viewed<'_>, view: &View) -> Evidence<'r> {
    let whole = record.len().is_some_and(|len| len as u64 == view.len());
    let all = evidence(record, viewed);
    Evidence {
        stats: all.stats.filter(|_| whole),
        sketch: all.sketch.filter(|_| whole && view.is_contiguous()),
        ..all
    }
}
