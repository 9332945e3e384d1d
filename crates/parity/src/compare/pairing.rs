//! What becomes of each pair of records.

use super::undone::UndoneTally;
use crate::align::maps::Chosen;
use crate::align::{Key, Lockstep, Names, Pair, Place, Share, Source};
use crate::check::{SameInput, Side, counts_contradict, tokens_contradict};
use crate::error::Error;
use crate::judge::{Compared, Detail};
use crate::measure::{Evidence, Logits, Measured, Resolution, Spread, measure, spread};
use crate::tensor::{Numbers, Region, without_token_axis};
use crate::trace::{Index, Trace};
use orch_log::Filter;
use orch_log::format::{Record, TOKENS};

/// What became of a pair.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Token ids: compared as inputs, not as numbers.
    Tokens,
    /// It lies past the point where the inputs part.
    PastInputs,
    /// The two shapes differ.
    Shapes(Vec<usize>, Vec<usize>),
    /// It could not be measured, for this reason.
    Unusable(String),
    /// Another pair of the same two records compares it.
    Covered,
    /// It was measured.
    Measured(Box<Compared>),
}

/// Pairs by outcome, with the first of those that were not measured.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    pub(crate) pairs: u64,
    pub(crate) token_pairs: u64,
    pub(crate) past_inputs: u64,
    pub(crate) shape_mismatches: Vec<(Key, Vec<usize>, Vec<usize>)>,
    pub(crate) shape_mismatch_count: u64,
    pub(crate) unusable: Vec<(Key, String)>,
    pub(crate) unusable_count: u64,
    /// Records of reference and candidate of which something was compared.
    pub(crate) compared_records: [u64; 2],
    /// Differences of layout that were undone.
    pub(crate) undone: UndoneTally,
    names: Names,
    /// For each name the records of reference and candidate that were paired.
    by_name: Vec<[u64; 2]>,
}

/// How many pairs of each kind are listed.
const LISTED: usize = 200;

impl Pairing {
    /// Counts a pair and gives back its figures, if it has any.
    pub(crate) fn note(&mut self, pair: &Pair, outcome: Outcome) -> Option<Box<Compared>> {
        let key = &pair.key;
        self.pairs += 1;
        if let Some(id) = self.names.id(&key.checkpoint) {
            if self.by_name.len() <= id.index() {
                self.by_name.push([0; 2]);
            }
            let counts = &mut self.by_name[id.index()];
            for (count, share) in counts.iter_mut().zip(&pair.shares) {
                *count += u64::from(share.is_first);
            }
        }
        if matches!(outcome, Outcome::Measured(_) | Outcome::Covered) {
            for (count, share) in self.compared_records.iter_mut().zip(&pair.shares) {
                *count += u64::from(share.is_first);
            }
        }
        match outcome {
            Outcome::Tokens => self.token_pairs += 1,
            Outcome::PastInputs => self.past_inputs += 1,
            Outcome::Shapes(reference, candidate) => {
                self.shape_mismatch_count += 1;
                if self.shape_mismatches.len() < LISTED {
                    self.shape_mismatches
                        .push((key.clone(), reference, candidate));
                }
            }
            Outcome::Unusable(reason) => {
                self.unusable_count += 1;
                if self.unusable.len() < LISTED {
                    self.unusable.push((key.clone(), reason));
                }
            }
            Outcome::Covered => {}
            Outcome::Measured(pair) => {
                self.undone.note(&key.checkpoint, &pair.undone);
                return Some(pair);
            }
        }
        None
    }

    /// Records of one checkpoint name that found a partner, in reference and candidate.
    pub(crate) fn paired_records_of(&self, checkpoint: &str) -> [u64; 2] {
        self.names
            .find(checkpoint)
            .map_or([0; 2], |id| self.by_name[id.index()])
    }
}

/// The two traces, how they are read, and what is known of their inputs.
pub(crate) struct Context<'a> {
    pub(crate) reference: &'a Trace,
    pub(crate) candidate: &'a Trace,
    /// Name maps of reference and candidate.
    pub(crate) maps: [&'a Chosen; 2],
    /// Added to the candidate's positions.
    pub(crate) token_offset: i64,
    pub(crate) inputs: &'a SameInput,
    /// How closely pairs are looked at beyond their figures; for few pairs only.
    pub(crate) spread: Option<Resolution>,
}

impl Context<'_> {
    /// Both traces from their beginnings, side by side.
    pub(crate) fn lockstep<'c>(&'c self, filter: &'c Filter) -> Result<Lockstep<'c>, Error> {
        let [reference, candidate] = self.maps;
        let source = |map: &'c Chosen, token_offset| Source {
            map: map.bound(),
            token_offset,
        };
        Lockstep::new(
            (self.reference, source(reference, 0)),
            (self.candidate, source(candidate, self.token_offset)),
            filter,
        )
    }

    /// Both traces by the names that their maps give them.
    pub(crate) fn indices(&self) -> Result<[Index<'_>; 2], Error> {
        let [reference, candidate] = self.maps;
        Ok([
            Index::mapped(self.reference, reference.bound())?,
            Index::mapped(self.candidate, candidate.bound())?,
        ])
    }

    /// Measures one pair, or says why not.
    pub(crate) fn examine(&self, pair: &Pair) -> Result<Outcome, Error> {
        let (a, b) = (&pair.reference.record, &pair.candidate.record);
        if pair.key.checkpoint == TOKENS {
            return Ok(Outcome::Tokens);
        }
        for (side, record) in [(Side::Reference, a), (Side::Candidate, b)] {
            if let Some(contradiction) = counts_contradict(record) {
                return Ok(Outcome::Unusable(format!(
                    "{}: {contradiction}",
                    side.name()
                )));
            }
        }
        if is_plain(pair) {
            self.examine_as_is(pair)
        } else {
            self.examine_through_views(pair)
        }
    }

    /// Two whole records of one shape.
    fn examine_as_is(&self, pair: &Pair) -> Result<Outcome, Error> {
        let (a, b) = (&pair.reference.record, &pair.candidate.record);
        let shape = compared_shape(a);
        let Some(cut) = self.cut(Region::whole(shape, token_axis(a)), shape, pair) else {
            return Ok(Outcome::PastInputs);
        };
        let sources = [numbers(self.reference, a), numbers(self.candidate, b)];
        let measured = measure(
            &evidence(a, &*sources[0]),
            &evidence(b, &*sources[1]),
            &cut.region,
        )?;
        let spread = self.spread(
            [&*sources[0], &*sources[1]],
            &cut.region,
            shape,
            measured.as_ref(),
        )?;
        let compared = |measured| Compared {
            shape: shape.to_vec(),
            n_tokens: cut.n_tokens,
            first_values: cut.first_values,
            values: None,
            undone: Vec::new(),
            measured,
            spread,
        };
        let Some(mut compared) = measured.map(compared) else {
            return Ok(nothing_in_common());
        };
        if compared.measured.basis.is_exact()
            && let Some(vocabulary) = shape.last()
            && Place::of(&pair.key.checkpoint) == Some(Place::Logits)
        {
            let rows = cut.region.count() / (*vocabulary as u64).max(1);
            let (reference, candidate) = (&*sources[0], &*sources[1]);
            let Key { token_idx, seq, .. } = pair.key;
            let logits = Logits::of(reference, candidate, (rows, *vocabulary), token_idx, seq)?;
            compared.measured.logits = Some(Box::new(logits));
        }
        // Lanes in another order are the one difference that shapes do not show.
        if let Some(better) = self.with_lanes_swapped(pair, &compared)? {
            return Ok(Outcome::Measured(Box::new(better)));
        }
        Ok(Outcome::Measured(Box::new(compared)))
    }

    /// Histograms and profiles of a measured pair, where they were asked for.
    pub(super) fn spread(
        &self,
        sources: [&dyn Numbers; 2],
        region: &Region,
        shape: &[usize],
        measured: Option<&Measured>,
    ) -> Result<Option<Box<Spread>>, Error> {
        let Some((resolution, measured)) = self.spread.zip(measured) else {
            return Ok(None);
        };
        let partial = &measured.partial;
        let ranges = [partial.reference_range, partial.candidate_range];
        spread(sources, region, shape, ranges, resolution).map(|spread| Some(Box::new(spread)))
    }

    /// The elements of a shape that are compared; `None` where all lie past the point where the inputs part.
    pub(super) fn cut(&self, region: Region, shape: &[usize], pair: &Pair) -> Option<Cut> {
        let (mut n_tokens, mut first_values) = (pair.n_tokens, Detail::FIRST_VALUES);
        let mut region = region;
        if pair.key.checkpoint.ends_with("attn_scores")
            && let Some(kv) = shape.last()
        {
            region = region.causal(*kv, pair.key.token_idx);
        }
        if let Some(end) = self.inputs.comparable_before(pair.key.seq) {
            let kept = end.saturating_sub(pair.key.token_idx);
            if kept <= 0 {
                return None;
            }
            region = region.first_tokens(kept as u64);
            n_tokens = n_tokens.min(kept as u64);
            // Values of the rows past that point would be shown as if they had been compared.
            first_values = region
                .ranges()
                .next()
                .map_or(0, |(_, length)| length as usize);
        }
        Some(Cut {
            region,
            n_tokens,
            first_values,
        })
    }
}

/// The elements of a pair that are compared.
pub(super) struct Cut {
    pub(super) region: Region,
    pub(super) n_tokens: u64,
    /// How many of the first values belong to them.
    pub(super) first_values: usize,
}

pub(super) fn nothing_in_common() -> Outcome {
    Outcome::Unusable("no elements, sketch or statistics in common".to_owned())
}

/// True where both records take part whole, in the shape that they have.
fn is_plain(pair: &Pair) -> bool {
    let (a, b) = (&pair.reference.record, &pair.candidate.record);
    let whole = |record: &Record, share: &Share| {
        share.reading.part.is_none()
            && share.reading.axes.is_none()
            && share.rows == (0..record.n_tokens.max(1) as u64)
            && tokens_contradict(record).is_none()
            && token_axis(record)
                .is_none_or(|axis| record.shape.get(axis) == Some(&record.n_tokens))
    };
    whole(a, &pair.shares[0])
        && whole(b, &pair.shares[1])
        && compared_shape(a) == compared_shape(b)
        && token_axis(a) == token_axis(b)
}

pub(super) fn evidence<'r>(record: &'r Record, numbers: &'r dyn Numbers) -> Evidence<'r> {
    Evidence {
        numbers,
        stats: record.stats.as_ref(),
        sketch: record.sketch.as_ref(),
        dtype: record.dtype,
    }
}

/// The shape without the token axis of a single token, which some loggers write and some do not.
fn compared_shape(record: &Record) -> &[usize] {
    if record.n_tokens == 1 {
        without_token_axis(&record.shape)
    } else {
        &record.shape
    }
}

fn token_axis(record: &Record) -> Option<usize> {
    (record.n_tokens > 1).then_some(record.token_axis)
}

/// All elements where the payload is sound, else those that the line itself holds; payloads that cannot be used are found
/// when the traces are checked.
pub(super) fn numbers<'r>(trace: &Trace, record: &'r Record) -> Box<dyn Numbers + 'r> {
    match trace.payload(record) {
        Some(Ok(payload)) => Box::new(payload),
        _ => Box::new(record.values.as_slice()),
    }
}
